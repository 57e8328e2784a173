"""What the bodies of the components call, one file per pipeline: places in the workspace, settings, and the steps."""
