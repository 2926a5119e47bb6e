"""What a run looks like: while it lasts (terminal, web) and afterwards (summary, HTML, CSV).

Everything here is made from two values of `loadtest.measure`: the parent's `Snapshot` while users are at work and the
`Result` once they have gone. No module here measures anything.

    await terminal.watch(book.now, run_info, headless=False)    until cancelled: a live table, or lines
    terminal.summary(result)                                    the last word on the terminal
    page = web.LivePage(book.now, run_info, stop=scope.cancel, host="127.0.0.1", port=8089)
    url = await nursery.start(page.serve)                       until cancelled; page.finished(result) offers the report
    html.write(path, result), html.page(result) -> str          one file that needs no network
    csvfile.write(prefix, result) -> list[Path]                 prefix_stats.csv, _timeline.csv, _failures.csv

`run_info.duration_s` is what was asked for, 0 if the run has no planned end.
"""
