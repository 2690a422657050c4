"""Who the others are: from flags, from variables, from the cluster."""

from __future__ import annotations

import pytest

from jaxllm.errors import UserError
from jaxllm.parallel.startup import find_processes

_SLURM = {
    "SLURM_JOB_ID": "4097",
    "SLURM_STEP_NODELIST": "node[007-008]",
    "SLURM_NTASKS": "2",
    "SLURM_PROCID": "1",
    "SLURM_LOCALID": "0",
}
_OPEN_MPI_4 = {
    "OMPI_MCA_orte_hnp_uri": "1531576320.0;tcp://10.96.0.1,10.148.0.1:34911",
    "OMPI_COMM_WORLD_SIZE": "4",
    "OMPI_COMM_WORLD_RANK": "3",
    "OMPI_COMM_WORLD_LOCAL_RANK": "1",
}


def _found(monkeypatch, variables, *given):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    found = find_processes(*given)
    return None if found is None else (found.coordinator, found.num_processes, found.process_id)


def test_a_process_that_nothing_is_said_to_is_alone(monkeypatch) -> None:
    assert _found(monkeypatch, {}) is None


def test_flags_and_variables(monkeypatch) -> None:
    assert _found(monkeypatch, {}, "10.0.0.2:8476", 4, 3) == ("10.0.0.2:8476", 4, 3)
    variables = {
        "JAX_COORDINATOR_ADDRESS": "10.0.0.2:8476",
        "JAX_NUM_PROCESSES": "4",
        "JAX_PROCESS_ID": "2",
    }
    assert _found(monkeypatch, variables) == ("10.0.0.2:8476", 4, 2)
    assert _found(monkeypatch, variables, None, None, 1) == ("10.0.0.2:8476", 4, 1)
    assert _found(monkeypatch, variables, None, 1) is None


def test_slurm_and_open_mpi_are_known(monkeypatch) -> None:
    with monkeypatch.context() as patch:
        assert _found(patch, _SLURM) == ("node007:61441", 2, 1)
        assert _found(patch, {}, None, 1) is None
    with monkeypatch.context() as patch:
        coordinator, *rest = _found(patch, _OPEN_MPI_4)
        assert coordinator.startswith("10.96.0.1:")
        assert rest == [4, 3]
    # Version 5 does not say where the first process is.
    del monkeypatch
    with pytest.MonkeyPatch.context() as patch:
        newer = {k: v for k, v in _OPEN_MPI_4.items() if "hnp" not in k}
        with pytest.raises(UserError, match="--coordinator is not said"):
            _found(patch, newer)
        assert _found(patch, newer, "10.96.0.1:8476") == ("10.96.0.1:8476", 4, 3)


def test_half_of_it_and_impossible_numbers_are_told(monkeypatch) -> None:
    with pytest.raises(UserError, match="--num_processes, --process_id is not said"):
        _found(monkeypatch, {}, "10.0.0.2:8476")
    with pytest.raises(UserError, match="it goes from 0 to 3"):
        _found(monkeypatch, {}, "10.0.0.2:8476", 4, 4)
    with pytest.raises(UserError, match="JAX_PROCESS_ID='one' is no number"):
        _found(monkeypatch, {"JAX_PROCESS_ID": "one"}, "10.0.0.2:8476", 4)
