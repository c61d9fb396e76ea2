"""An optimiser that fails when a test wants it, in whatever process it is built."""

import os
import signal
import time
from pathlib import Path

import torch
from torch import Tensor

from polystep.ask_tell import AskTellOptimizer, NonFiniteLossError
from polystep.candidates import Candidates, DenseCandidates
from polystep.contracts import State, StepReport
from polystep.layout import ParameterLayout


class Faulty(AskTellOptimizer):
    """Adds 1 to each coordinate per step. While the file `fault` exists, the second step does what it says: raise, diverge, die
    (die 1: in the process of rank 1), wait or interrupt.
    """

    def __init__(self, layout: ParameterLayout, point: Tensor, fault: str, seed: int):
        self.solution, self._step, self._fault, self.seed = point, 0, Path(fault), seed

    def ask(self, used: float) -> Candidates:
        return DenseCandidates(torch.stack([self.solution, self.solution + 1]))

    def tell(self, losses: Tensor) -> StepReport:
        what = self._fault.read_text() if self._step == 1 and self._fault.exists() else ""
        if what == "raise":
            raise ArithmeticError("the fault that was asked for")
        if what == "diverge":
            raise NonFiniteLossError("no loss is finite")
        if what in ("die", f"die {os.environ.get('RANK')}"):
            os.kill(os.getpid(), signal.SIGKILL)
        if what == "interrupt":
            # a shell's background jobs ignore the signal
            signal.signal(signal.SIGINT, signal.default_int_handler)
            os.kill(os.getpid(), signal.SIGINT)
        while what == "wait" and self._fault.exists():
            time.sleep(0.05)
        self._step += 1
        self.solution = self.solution + 1
        return StepReport(float(losses.mean()))

    def state_dict(self) -> State:
        return {"point": self.solution, "step": self._step}

    def load_state_dict(self, state: State) -> None:
        self.solution, self._step = state["point"], state["step"]
