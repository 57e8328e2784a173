"""Stage 10: detector + Metrics + provenance -> a registered version that never changes.

    trained detector --+
                       +--> gate: Metrics against those of the champion --> Decision
    Metrics -----------+                                                        | passed
                                                                                v
                           kubeflow <-- versions: <registry>/<name>/<number>/ <-+
    (the Model Registry of a cluster)             aliases/champion/

`versions` keeps whole detectors in a local folder or on an object store: `publish` adds one, and
`pointers` is what their aliases say. `gate` decides whether one may follow another. `kubeflow`
tells a cluster's Model Registry about them. `omnidet/steps/` puts these together.
"""
