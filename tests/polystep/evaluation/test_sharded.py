"""One run over several processes takes the same steps as one process, bit for bit."""

import multiprocessing
import os
import signal
import socket
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

import pytest
import torch

from polystep.bench.composition import compose_config
from polystep.bench.launch import build_run
from polystep.candidates import DenseCandidates
from polystep.capabilities import clauses_of, environment_of, gradients_of
from polystep.conformance.objectives import QuadraticObjective
from polystep.contracts import ExpectedError, Spent
from polystep.evaluation.sharded import (
    SET_BY_TORCHRUN,
    Place,
    Processes,
    ProcessLost,
    ShardedObjective,
    joined_processes,
    place_among_processes,
    share_of,
)
from tests.processes import started_forkserver

CONFIGS = Path(__file__).resolve().parents[3] / "configs"
SMALL = ["task=snn_digits", "task.batch_size=48", "task.network.hidden=8", "threads=1"]
EVALUATIONS = ["task.evaluation=functional", "task.evaluation=incremental", "task.evaluation=fused"]
ACROBOT = ["task=acrobot", "study=first", "threads=1", "task.horizon=300"]
DIGITS = ["task.dataset=digits", "task.validation_size=200", "task.batch_size=48", "task.network.hidden=8", "threads=1"]
PUBLISHED = {name: [f"task={name}", "study=first", *DIGITS, EVALUATIONS[1]] for name in ("int8", "argmax", "moe")}
OPTIMIZERS = ["optimizer.subspace.rank=8", "optimizer=openai_es", "optimizer=cma_es", "optimizer=spsa"]
FEW = [[*SMALL, EVALUATIONS[1], OPTIMIZERS[0]], [*SMALL, EVALUATIONS[0], OPTIMIZERS[1]], ACROBOT]
"""Rows, mirrored candidates, and such with episodes of their own."""
MANY = [
    *FEW,
    *([*SMALL, EVALUATIONS[0], optimizer] for optimizer in (OPTIMIZERS[0], *OPTIMIZERS[2:])),
    [*ACROBOT, "optimizer=openai_es", "task.activation=binary"],
    # a router's particles move it as a whole
    PUBLISHED["argmax"],
    PUBLISHED["moe"],
]


@pytest.mark.parametrize("count", [1, 2, 3, 7])
@pytest.mark.parametrize("candidates", [0, 1, 2, 5, 6, 13])
def test_shares_are_whole_disjoint_and_keep_pairs_together(candidates: int, count: int) -> None:
    shares = [share_of(candidates, rank, count) for rank in range(count)]
    indices = [list(range(candidates))[share] for share in shares]
    assert [index for share in indices for index in share] == list(range(candidates))
    assert all(share[0] % 2 == 0 for share in indices if share)
    assert max(map(len, indices)) - min(map(len, indices)) <= 3


def environment(rank: int, count: int, port: int) -> None:
    ranks = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": count, "LOCAL_WORLD_SIZE": count}
    names = {**ranks, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    os.environ.update({name: str(value) for name, value in names.items()})


@pytest.fixture
def no_torchrun(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in SET_BY_TORCHRUN:
        monkeypatch.delenv(name, raising=False)


@pytest.mark.usefixtures("no_torchrun")
@pytest.mark.parametrize(
    "left_over", [{"RANK": "3"}, {"WORLD_SIZE": "2"}, {"RANK": "1", "WORLD_SIZE": "4", "LOCAL_RANK": "x"}]
)
def test_variables_left_over_from_another_program_make_no_processes(
    left_over: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in left_over.items():
        monkeypatch.setenv(name, value)
    assert place_among_processes() == Place(0, 1, 0, 1)
    with joined_processes("cpu") as processes:
        assert processes.is_first and processes.count == 1


@pytest.mark.usefixtures("no_torchrun")
@pytest.mark.parametrize(("rank", "count"), [("two", "2"), ("2", "2"), ("-1", "2"), ("0", "0")])
def test_variables_that_make_no_sense_are_named(rank: str, count: str, monkeypatch: pytest.MonkeyPatch) -> None:
    environment = {"RANK": rank, "LOCAL_RANK": "0", "WORLD_SIZE": count, "LOCAL_WORLD_SIZE": "1"}
    for name, value in (environment | {"MASTER_ADDR": "localhost", "MASTER_PORT": "1"}).items():
        monkeypatch.setenv(name, value)
    with pytest.raises(
        ExpectedError, match=f"no processes of torchrun .RANK={rank}, .*WORLD_SIZE={count}.*unset these"
    ):
        place_among_processes()


@pytest.mark.usefixtures("no_torchrun")
def test_processes_that_cannot_meet_are_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "environ", dict(os.environ))
    environment(1, 2, 99999)
    found = pytest.raises(ExpectedError, match="the 2 processes of this run did not find each other")
    with found, joined_processes("cpu", timeout_seconds=1):
        pass


def start(count: int, work: Callable[..., None], *arguments: object) -> list[multiprocessing.Process]:
    context = started_forkserver()
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    processes = [context.Process(target=work, args=(rank, count, port, *arguments)) for rank in range(count)]
    for process in processes:
        process.start()
    return processes


def trajectory(processes: Processes, settings: Sequence[str], steps: int = 3) -> dict[str, torch.Tensor]:
    """own: the candidates that this process evaluated in each step; spent: what all did together."""
    run = build_run(*compose_config(CONFIGS, settings))
    task = run.build_task()
    optimizer = run.build_optimizer(task)
    own, spent, losses = [], [], []
    for _ in range(steps):
        alone = task.next_objective()
        objective = processes.share(alone)
        losses.append(optimizer.step(objective, 0.0).loss)
        own.append(alone.spent.candidate_evaluations)
        counted = ("candidate_evaluations", "sample_forwards", "environment_steps")
        spent.append([getattr(objective.spent, name) for name in counted])
    found = {"own": own, "loss": losses, "spent": spent}
    return {"point": optimizer.solution, **{name: torch.tensor(numbers) for name, numbers in found.items()}}


@cache
def lone_trajectory(*settings: str) -> dict[str, torch.Tensor]:
    return trajectory(Processes(), settings)


def all_trajectories(rank: int, count: int, port: int, cases: list[list[str]], folder: Path) -> None:
    environment(rank, count, port)
    with joined_processes("cpu", 60) as processes:
        assert (processes.rank, processes.count, processes.is_first) == (rank, count, rank == 0)
        assert processes.broadcast(rank + 7.25) == 7.25
        assert processes.all_have(0.1) and not processes.all_have(rank)
        torch.save([trajectory(processes, case) for case in cases], folder / f"{rank}.pt")


def assert_the_same_with(count: int, cases: list[list[str]], folder: Path) -> None:
    # first, so that the others find the kernels compiled
    expected = [lone_trajectory(*case) for case in cases]
    started = start(count, all_trajectories, cases, folder)
    for process in started:
        process.join()
        assert process.exitcode == 0
    found = [torch.load(folder / f"{rank}.pt") for rank in range(count)]
    for case, alone, *shared in zip(cases, expected, *found, strict=True):
        for part in shared:
            assert all(torch.equal(part[name], alone[name]) for name in ("point", "loss", "spent")), case
            # a share is of whole pairs
            assert (part["own"] <= alone["own"] / count + 2).all(), case
        assert torch.equal(sum(part["own"] for part in shared), alone["own"]), case


@pytest.mark.parametrize(("count", "cases"), [(2, MANY), (3, FEW)], ids=["2", "3"])
def test_the_trajectory_does_not_depend_on_the_number_of_processes(
    count: int, cases: list[list[str]], tmp_path: Path
) -> None:
    assert_the_same_with(count, cases, tmp_path)


@pytest.mark.slow
def test_nor_does_that_of_the_compiled_path(tmp_path: Path) -> None:
    # the kernels are those of `tests.exactness.WIDE`
    assert_the_same_with(2, [[*SMALL, "task.network.hidden=36", EVALUATIONS[2], OPTIMIZERS[0]]], tmp_path)


def lose_one(rank: int, count: int, port: int, how: int, folder: Path) -> None:
    environment(rank, count, port)
    try:
        with joined_processes("cpu", 2) as processes:
            processes.broadcast(0.0)
            if rank == 1:
                os.kill(os.getpid(), how)
            processes.broadcast(0.0)
    except ProcessLost as error:
        (folder / str(rank)).write_text(str(error))


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP])
def test_a_process_that_ends_or_hangs_is_said_by_the_others(how: signal.Signals, tmp_path: Path) -> None:
    started = start(2, lose_one, how, tmp_path)
    started[0].join()
    assert "another process of this run has ended or does not answer" in (tmp_path / "0").read_text()
    started[1].kill()
    started[1].join()


def test_alone_nothing_is_divided() -> None:
    objective = object()
    with joined_processes("cpu") as processes:
        assert (
            processes.is_first
            and processes.broadcast(3.5) == 3.5
            and processes.all_have(3.5)
            and processes.share(objective) is objective
        )


def test_what_an_objective_offers_besides_losses_is_offered_in_every_process() -> None:
    objective = ShardedObjective(QuadraticObjective(), Processes(1, 2))
    loss, _ = gradients_of(objective, "exact").gradient(torch.zeros(2), "exact")
    assert loss == 1.0 and clauses_of(objective).search(lambda clauses: (clauses.variables, Spent())) == 76
    assert environment_of(objective).interact(lambda view: view.make() is not None)


OBJECTIVES = {
    "functional": [*SMALL, EVALUATIONS[0], OPTIMIZERS[0]],
    "incremental": [*SMALL, EVALUATIONS[1], OPTIMIZERS[0]],
    "mirrored": [*SMALL, EVALUATIONS[0], OPTIMIZERS[1]],
    "published": PUBLISHED["int8"],
    "published, routed": PUBLISHED["argmax"],
    "published, gated": PUBLISHED["moe"],
    "few directions": [*SMALL, EVALUATIONS[1], "optimizer=polystep_dense"],
    "low rank": [*SMALL, EVALUATIONS[1], "optimizer=eggroll"],
    "acrobot": ACROBOT,
    "acrobot, common": [*ACROBOT, "task.common_episodes=true"],
    "cartpole, int8": ["task=cartpole", "task.activation=int8", "task.horizon=100", "threads=1"],
    "maxsat": ["task=maxsat", "task.variables=50"],
    "maxsat, torch": ["task=maxsat", "task.variables=50", "task.evaluation=torch"],
    "maxsat, everything": ["task=maxsat", "task.variables=50", "optimizer=openai_es"],
}


@pytest.mark.parametrize("name", OBJECTIVES)
def test_losses_of_parts_are_parts_of_the_losses(name: str) -> None:
    run = build_run(*compose_config(CONFIGS, OBJECTIVES[name]))
    task = run.build_task()
    candidates, objective = run.build_optimizer(task).ask(0.0).part(slice(0, 40)), task.next_objective()
    whole = objective.losses(candidates)
    assert whole.std() > 0
    for part in (slice(0, 16), slice(16, 40), slice(6, 11), slice(8, 9)):
        assert torch.equal(objective.losses(candidates.part(part)), whole[part])


def test_parts_of_candidates_keep_their_points() -> None:
    run = build_run(*compose_config(CONFIGS, [*SMALL, OPTIMIZERS[0]]))
    mirrored = build_run(*compose_config(CONFIGS, [*SMALL, OPTIMIZERS[1]]))
    task = run.build_task()
    for built in (run, mirrored):
        candidates = built.build_optimizer(task).ask(0.0)
        part = candidates.part(slice(4, 9))
        assert type(part) is type(candidates) and torch.equal(part.dense(slice(0, 5)), candidates.dense(slice(4, 9)))
    dense = DenseCandidates(torch.arange(6.0).reshape(3, 2))
    assert torch.equal(dense.part(slice(1, 2)).points, torch.tensor([[2.0, 3.0]]))
