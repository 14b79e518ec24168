"""Tables coded by the service: uploaded, coded beside the requests, fetched; `code-file` over HTTP.

    store = JobStore(Path("jobs"), most=20, keep=timedelta(hours=24)); store.open()
    runner = Runner(store, agent, batcher, counted); runner.start(loop)
    app.include_router(build_job_router(store, settings))

record.py   what a job is: what was asked, how far it is
store.py    the jobs as folders, which outlive the process
runner.py   the thread that codes one job after the other, in turns with the requests
routes.py   the routes below /v1/jobs
"""
