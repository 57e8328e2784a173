from omnidet.commands import exit_codes
from omnidet.training.stop import RESTART_EXIT_CODE


def test_every_code_means_one_thing():
    own = [code for name, code in vars(exit_codes).items() if name.isupper()]
    assert len({*own, 0, RESTART_EXIT_CODE}) == len(own) + 2
