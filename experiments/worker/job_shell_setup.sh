# shellcheck shell=bash
# Every bash of a Slurm job sources this file, because BASH_ENV names it. When scancel, a requeue, preemption or the time
# limit sends SIGTERM, a shell waits for the worker that it has started, while the worker releases its runs. Slurm allows
# KillWait seconds for this. Otherwise the shell that SEML starts as the step's task would end at once, and Slurm would
# kill its child processes.

[[ -n ${SLURM_JOB_ID:-} ]] || return 0

# After a crash of its controller Slurm may not know that a step has ended. A new step of the job would then wait for it up
# to the time limit.
export SLURM_OVERLAP=1

trap '[[ -n $(jobs -pr) ]] || exit 143' TERM

# A trapped signal ends bash's builtin wait before the children have ended. SEML's script also traps USR1, which Slurm
# sends ahead of the time limit.
wait() {
    local status
    while
        builtin wait "$@"
        status=$?
        ((status > 128)) && [[ -n $(jobs -pr) ]]
    do :; done
    return "$status"
}
