"""Who chooses: the policy and its peers behind one ask/tell interface, and how a winner is picked."""

from controller.adam import Schedule
from controller.front import Bin, non_dominated, spread, wilson
from controller.halving import Evaluation, Plan, Rung, halve, plan
from controller.looks import Looks
from controller.policy import Policy
from controller.rewards import Reward
from controller.searcher import Searcher
from controller.searchers import SEARCHERS, create
from controller.selection import Pool, Selection, select
from controller.start import Start, largest_entropy
from controller.steering import Difference, Steering, paired
from controller.surrogate import Surrogate
from controller.window import Limit, Window

__all__ = [
    "SEARCHERS",
    "Bin",
    "Difference",
    "Evaluation",
    "Limit",
    "Looks",
    "Plan",
    "Policy",
    "Pool",
    "Reward",
    "Rung",
    "Schedule",
    "Searcher",
    "Selection",
    "Start",
    "Steering",
    "Surrogate",
    "Window",
    "create",
    "halve",
    "largest_entropy",
    "non_dominated",
    "paired",
    "plan",
    "select",
    "spread",
    "wilson",
]
