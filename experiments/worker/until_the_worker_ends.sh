# shellcheck shell=bash
# Read by every bash of a Slurm job, named by BASH_ENV. Asked to end by scancel, requeue, preemption or the time limit,
# a shell waits for the worker it has started, which gives its runs back meanwhile; KillWait is the time it has. Without
# this the shell that SEML starts as the step's task ends at once, and Slurm kills what it leaves behind.

[[ -n ${SLURM_JOB_ID:-} ]] || return 0

# A step waits for one that has ended if Slurm does not know it, as after a crash of its controller, up to the time limit.
export SLURM_OVERLAP=1

trap '[[ -n $(jobs -pr) ]] || exit 143' TERM

# A trapped signal, SEML's USR1 ahead of the time limit too, ends bash's own wait before the children have ended.
wait() {
    local status
    while
        builtin wait "$@"
        status=$?
        ((status > 128)) && [[ -n $(jobs -pr) ]]
    do :; done
    return "$status"
}
