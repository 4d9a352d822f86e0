"""All the measured workloads, one after the other: `make bench`."""

from benchmarks import hazard, import_usage, ingest, night, pages, roll_up, sync_crm

WORKLOADS = (import_usage, ingest, roll_up, hazard, night, pages, sync_crm)

for workload in WORKLOADS:
    print((workload.__doc__ or "").splitlines()[0])
    workload.main()
