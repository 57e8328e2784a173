import inspect

from omnidet import cli
from omnidet.inference import defaults
from omnidet.inference.detector import OmniDet
from omnidet.serving import requests
from omnidet.serving.config import Limits


def test_the_command_line_and_the_server_show_the_same_detections():
    options = cli._parser().parse_args(["predict", "a.jpg", "--model", "m", "--phrases", "cat"])
    asked = requests.checked([b"a picture"], {"phrases": ["cat"]}, Limits())
    assert options.threshold is asked.threshold is None  # the detector's own
    limit = inspect.signature(OmniDet.detect).parameters["max_detections"].default
    assert limit == requests.MAX_DETECTIONS == defaults.MAX_DETECTIONS
