"""All the measured workloads, one after the other: `make bench`."""

from benchmarks import import_usage, pages

WORKLOADS = (import_usage, pages)

for workload in WORKLOADS:
    print((workload.__doc__ or "").splitlines()[0])
    workload.main()
