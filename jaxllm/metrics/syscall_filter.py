"""The system calls that a sandboxed program is denied, as a seccomp filter that bwrap loads.

Those are the calls that make namespaces or mounts (a mount of its own would be memory that no limit
holds), memory that belongs to no process, and what looks into other processes or into the kernel.
A denied call fails with EPERM and the program goes on.
"""

from __future__ import annotations

import errno
import platform
import struct

# AUDIT_ARCH_* of linux/audit.h. The pairs of numbers below are in this order.
_ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_CLONE = {"x86_64": 56, "aarch64": 220}
_CLONE3 = 435
_CLONE_NEWUSER = 0x10000000
_X32_BIT = 0x40000000  # x86_64 kernels take a second set of numbers, from here on

_DENIED = {
    "acct": (163, 89),
    "add_key": (248, 217),
    "bpf": (321, 280),
    "delete_module": (176, 106),
    "finit_module": (313, 273),
    "fsconfig": (431, 431),
    "fsmount": (432, 432),
    "fsopen": (430, 430),
    "fspick": (433, 433),
    "init_module": (175, 105),
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
    "io_uring_setup": (425, 425),
    "kcmp": (312, 272),
    "kexec_load": (246, 104),
    "keyctl": (250, 219),
    "memfd_create": (319, 279),
    "memfd_secret": (447, 447),
    "mount": (165, 40),
    "mount_setattr": (442, 442),
    "move_mount": (429, 429),
    "open_by_handle_at": (304, 265),
    "open_tree": (428, 428),
    "perf_event_open": (298, 241),
    "pivot_root": (155, 41),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "ptrace": (101, 117),
    "quotactl": (179, 60),
    "reboot": (169, 142),
    "request_key": (249, 218),
    "setns": (308, 268),
    "shmget": (29, 194),
    "swapon": (167, 224),
    "syslog": (103, 116),
    "umount2": (166, 39),
    "unshare": (272, 97),
    "userfaultfd": (323, 282),
}

# Classic BPF (linux/filter.h): load a word of seccomp_data, compare, return.
_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_NUMBER, _ARCHITECTURE, _FIRST_ARGUMENT = 0, 4, 16  # offsets in seccomp_data
_ALLOW, _FAIL_WITH = 0x7FFF0000, 0x00050000


def syscall_filter() -> bytes | None:
    """The filter for this machine as `struct sock_filter`s; None where its numbers are not known.

    The machines are x86_64 and aarch64.
    """
    machine = platform.machine()
    if machine not in _ARCHITECTURES:
        return None
    column = list(_ARCHITECTURES).index(machine)
    refuse = _instruction(_RETURN, _FAIL_WITH | errno.EPERM)
    program = [
        _instruction(_LOAD, _ARCHITECTURE),
        _instruction(_EQUAL, _ARCHITECTURES[machine], if_true=1),
        refuse,
        _instruction(_LOAD, _NUMBER),
        _instruction(_AT_LEAST, _X32_BIT, if_false=1),
        refuse,
        # Its flags lie in memory, out of a filter's sight: C libraries then go back to clone.
        _instruction(_EQUAL, _CLONE3, if_false=1),
        _instruction(_RETURN, _FAIL_WITH | errno.ENOSYS),
    ]
    for numbers in _DENIED.values():
        program += [_instruction(_EQUAL, numbers[column], if_false=1), refuse]
    program += [
        _instruction(_EQUAL, _CLONE[machine], if_false=3),
        _instruction(_LOAD, _FIRST_ARGUMENT),
        _instruction(_ANY_BIT, _CLONE_NEWUSER, if_false=1),
        refuse,
        _instruction(_RETURN, _ALLOW),
    ]
    return b"".join(program)


def _instruction(code: int, operand: int, *, if_true: int = 0, if_false: int = 0) -> bytes:
    """One instruction; a comparison skips as many as said."""
    return struct.pack("=HBBI", code, if_true, if_false, operand)
