"""What an operator does about work that has failed, with the official grpcio client."""

import grpc
import pytest

from contract import connect, jobs, message, platform_admin, principal, strangers_principal
from harness import eventually

V1 = "mainstreet.jobs.v1."
HOURS = b"store_id,day,start_time_local,end_time_local\na,0,09:00:00,12:00:00\n"
JOB_STATE_DEAD = 6


@pytest.fixture
def channel(platform):
    with connect(platform) as channel:
        yield channel


def test_a_dead_job_is_seen_and_redriven(platform, channel):
    owner, stranger, admin = principal(platform), strangers_principal(platform), platform_admin(platform)
    platform.import_csv("hours", HOURS)
    platform.database.query("UPDATE store.stores SET timezone = 'Mars/Olympus'")
    report_id = platform.json("POST", "/trigger_report", expect=201)["reportId"]
    report = eventually(lambda: of_status(platform, report_id, "failed"), what="the report failed")
    assert report["failureReason"] == "UNKNOWN_TIMEZONE: Mars/Olympus"

    queues = jobs(channel, "ListQueues")(message(V1 + "ListQueuesRequest"), metadata=admin).queues
    assert [(queue.queue, queue.is_paused) for queue in queues] == [("reports", False)]
    assert [(count.state, count.jobs) for count in queues[0].counts] == [(JOB_STATE_DEAD, 1)]
    with pytest.raises(grpc.RpcError) as caught:
        jobs(channel, "ListQueues")(message(V1 + "ListQueuesRequest"), metadata=owner)
    assert caught.value.code() == grpc.StatusCode.PERMISSION_DENIED

    def dead(caller):
        return jobs(channel, "ListDeadJobs")(message(V1 + "ListDeadJobsRequest"), metadata=caller).jobs

    [job] = dead(owner)
    assert (job.job_id, job.kind, job.error_code) == (report_id, "generate_report", "UNKNOWN_TIMEZONE")
    assert [failure.message for failure in job.failures] == ["Mars/Olympus"]
    assert not dead(stranger)

    platform.database.query("UPDATE store.stores SET timezone = 'America/New_York'")
    mine = message(V1 + "RedriveDeadJobsRequest", filter=message(V1 + "DeadJobFilter", job_ids=[report_id]))
    assert jobs(channel, "RedriveDeadJobs")(mine, metadata=stranger).redriven == 0
    assert jobs(channel, "RedriveDeadJobs")(mine, metadata=owner).redriven == 1
    assert eventually(lambda: of_status(platform, report_id, "complete"), what="the report")["rowCount"] == 1
    assert not dead(owner)
    fetched = jobs(channel, "GetJob")(message(V1 + "GetJobRequest", job_id=report_id), metadata=owner)
    assert (fetched.attempts, [failure.attempt for failure in fetched.failures]) == (2, [1])


def test_a_paused_queue_waits(platform, channel):
    admin = platform_admin(platform)
    reports = {"queue": "reports"}
    assert jobs(channel, "PauseQueue")(message(V1 + "PauseQueueRequest", **reports), metadata=admin).is_paused
    report_id = platform.json("POST", "/trigger_report", expect=201)["reportId"]
    queue = jobs(channel, "ResumeQueue")(message(V1 + "ResumeQueueRequest", **reports), metadata=admin)
    assert not queue.is_paused
    assert platform.download(report_id)


def of_status(platform, report_id, status):
    report = platform.json("GET", f"/reports/{report_id}")
    return report if report["status"] == status else None
