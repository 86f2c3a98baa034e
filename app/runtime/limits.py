"""The limits that this software sets on its input, each with its reason."""

from typing import Final

# The month of a country with a million enterprises is a CSV of 200 MB. A hostile file, or one that grows
# while it is read, may have no end.
SOURCE_FILE_MAX_BYTES: Final = 2_000_000_000

# The whole workbook is unpacked into memory, where it takes ten to twenty times its size. 20 MB hold about
# 250,000 rows of the platform's export; a larger month comes as CSV, which is read as a stream.
XLSX_MAX_BYTES: Final = 20_000_000

# XML of spreadsheets compresses to between a fifth and a twelfth; below a twentieth it is a zip bomb.
XLSX_MAX_UNPACKED_BYTES: Final = 400_000_000

# The workbook reader keeps a sheet as one rectangle with 32 bytes for each cell, so a single stray cell in
# the last row and column would take 550 GB. 10 million cells take 320 MB: 500,000 rows of 20 columns.
SHEET_MAX_CELLS: Final = 10_000_000

# The reader copies the text of every cell, though a workbook stores equal texts only once: a file of 500 KB
# can take 9 GB. 100 million characters are 400 in each of 250,000 rows.
SHEET_MAX_TEXT_CHARS: Final = 100_000_000

# One record of a CSV is held in memory: a quotation mark that is never closed must not read in the whole
# file.
CSV_RECORD_MAX_CHARS: Final = 1_000_000

# Address space of the process that reads a file. A workbook within the limits above takes a gigabyte at most;
# one that takes more is hostile.
READING_MAX_MEMORY_BYTES: Final = 2 * 1024**3

# Processor time of that process. The largest workbook needs 30 seconds, and a CSV less than 1 second for each
# MB; slower machines need several times as much.
READING_MAX_CPU_S: Final = 60
READING_BYTES_PER_CPU_S: Final = 500_000

# The caller waits this many times as long: a process that gets less than a quarter of a processor hangs.
READING_PATIENCE: Final = 4

# Excel allows 32,767 characters in a cell, and no row of a table has more than three such cells. 4,000 rows
# are checked at a time.
ROW_MAX_CHARS: Final = 100_000

# A message of that process: a few hundred thousand characters of at most four bytes each.
READING_FRAME_MAX_BYTES: Final = 32_000_000

# A file with more unreadable lines is the wrong file: there is no point in correcting its lines.
READING_MOST_PROBLEMS: Final = 10_000

# The sample of a text that its encoding and separator are inferred from: many rows, read at once.
TEXT_SAMPLE_BYTES: Final = 64_000

# Titles, units and notes come before a table, but never a screen full of them.
HEADER_SEARCH_ROWS: Final = 20

# Excel ends at row 1,048,576; the first row is the heading, the last says how many lines were left out.
PROBLEM_SHEET_MAX_LINES: Final = 1_048_574

# The same for the sheet of red flags, where a line is a question about one version of a return.
RED_FLAG_SHEET_MAX_LINES: Final = 1_048_574

# Excel refuses a longer text in a cell.
SHEET_CELL_MAX_CHARS: Final = 32_767

# How long a read waits for the read models to reach a position: the largest call is projected in about that
# time. A proxy or client gives up later, mostly after 30 seconds.
WAIT_FOR_MOST_S: Final = 5.0

# A policy document fills a few pages; the shipped one has 8 KB.
POLICY_MAX_BYTES: Final = 256_000

# Keys, values, lists and mappings of a policy document, each of which takes 50 microseconds to read: the
# shipped one has 437, and 256 KB could have 120,000. A recorded document stays readable, however many it has.
POLICY_MAX_NODES: Final = 5_000

# A call is one transaction and one response: 50,000 rows are about 100,000 events and 300 MB of memory.
RETURNS_MAX_ROWS: Final = 50_000

# 50,000 rows with every figure, source and reason stay under it.
BODY_MAX_BYTES: Final = 32 * 1024 * 1024

# The memory that JSON takes depends on its values, not on its bytes: 33 MB of `[],` are 11 million lists and
# 700 MB, parsed in one step that blocks all other requests. A row has at most 7 objects and 30 commas; 50,000
# of them fit, with a third to spare for commas and brackets in texts.
BODY_MAX_COMMAS: Final = 2_000_000
BODY_MAX_CONTAINERS: Final = 500_000

# No object of the API has more than 20 fields, and the answer names every unknown field as a problem.
BODY_OBJECT_MAX_KEYS: Final = 100

# Bodies that one process receives or handles at the same time. Until its request is answered, a body takes
# ten to twenty times its size in memory: two of the largest, or fifty of a small city's month.
BODIES_MAX_BYTES: Final = 2 * BODY_MAX_BYTES

# The server reads this much of a body before the application asks for it; smaller bodies do not wait for
# room.
BODY_SMALL_BYTES: Final = 64 * 1024

# How long a body waits for room: the largest filing takes about ten seconds. A proxy in front of the service
# gives up after 30.
BODY_WAIT_MOST_S: Final = 20.0

# Problems or warnings listed in a response, which also gives their total number: they mostly have few causes.
# 50,000 rows could have a million of them, a response of 400 MB.
PROBLEMS_MOST_LISTED: Final = 1_000

# Problems or warnings of a batch or a file kept in memory, some 50 MB; the others are only counted. The
# problem sheet of a file, which goes to the people who correct it, lists those that are kept.
PROBLEMS_MOST_KEPT: Final = 100_000

# Connections of a service: one for each thread of its process (Starlette has 40). A thread takes one at a
# time, so no request waits for the connection of another; several workers share them. PostgreSQL admits 100
# by default, and commands need some too.
POOL_SIZE: Final = 40

# If an operator allows fewer connections: a request that has to wait longer is refused, to be sent again.
POOL_TIMEOUT_S: Final = 5

# A server in the same network answers in milliseconds; one that has not answered by then is down.
CONNECT_TIMEOUT_S: Final = 3

# No statement of a request takes more than a few seconds, waiting for locks included.
STATEMENT_TIMEOUT_S: Final = 60

# A writer waits this long for another: longer than the largest batch takes to record.
LOCK_TIMEOUT_S: Final = 30

# A filing with this many rows is a long one: deciding on it takes longer than recording another one.
LONG_BATCH_ROWS: Final = 500

# Long filings that a process handles at a time: one is decided on while the other is recorded. More would
# only take the processor from the short ones.
LONG_BATCHES_AT_ONCE: Final = 2

# A long filing waits this long for those before it, twice as long as for a lock, because sending it again
# costs as much again. After that it is refused, to be sent again.
LONG_BATCH_WAIT_S: Final = 60

# Between two statements of a transaction, rows are decided on or encoded; a dry run of the largest file takes
# a minute for that. A transaction that is idle for longer only blocks the others.
IDLE_IN_TRANSACTION_TIMEOUT_S: Final = 300

# A peer that vanished, as in a power cut, is noticed after 30 + 3 * 10 seconds, and after 30 if it leaves
# data unacknowledged. Firewalls drop connections that are silent for minutes.
TCP_IDLE_S: Final = 30
TCP_PROBE_INTERVAL_S: Final = 10
TCP_PROBES: Final = 3
TCP_UNACKNOWLEDGED_S: Final = 30

# A step that failed by a lost connection, a deadlock or a serialisation failure is retried after each of
# these pauses, in seconds. Together they outlast the restart of a server; after that the request is refused.
RETRY_PAUSES_S: Final = (0.1, 0.2, 0.4, 0.8, 1.6)

# A load balancer asks every few seconds and expects an answer at once.
READY_TIMEOUT_S: Final = 2.0

# How far the read models may lag behind the log before readiness reports it: a filing is projected within
# tenths of a second.
READY_LAG_S: Final = 1.0

# Readiness tries a write this often, and waits this long for a lock: if another process holds it, that one
# can write.
WRITE_PROBE_INTERVAL_S: Final = 10.0
WRITE_PROBE_WAIT_MS: Final = 250

# As much as a filing of one row writes, so that a disk without room for a filing counts as full.
WRITE_PROBE_BYTES: Final = 65_536

# A clock that has gained more than this on a clock that cannot be set was set to a wrong time, unless a
# person confirms it. A smaller gain is a corrected time zone, or a virtual machine that was paused over
# night.
CLOCK_STEP_MOST_S: Final = 86_400

# Returns are filed every month. A ledger that starts after a longer rest has no other clock to compare with,
# so a person has to confirm the time.
CLOCK_REST_MOST_S: Final = 100 * 86_400

# The clocks of several machines differ by less; if the last record is further ahead, that is reported.
CLOCK_AHEAD_SAID_S: Final = 60

# How often the service looks for work that it or another process has left unfinished.
CARETAKER_INTERVAL_S: Final = 10.0

# Every read needs the latest root of the log, and auditors ask for earlier ones: 32 bytes each.
ROOTS_KEPT: Final = 1_024

# A checkpoint covers the newest events: before the response, as many are sealed as take about two seconds.
# More are unsealed only after an upgrade or an import, and they are sealed in the background.
SEALED_PER_CALL_MOST: Final = 200_000

# Excel ends at row 1,048,576; three rows are the heading, the sums, and the number of lines left out.
DIFFERENCE_SHEET_MAX_LINES: Final = 1_048_573

# Mismatches that a replay reports with the steps of both sides, some 20 KB of memory each. All are counted,
# and replays of smaller ranges of positions find the others.
REPLAY_MOST_REPORTED: Final = 2_000

# Enterprises that are examined for one page of red flags: about a second, mostly for reading their versions.
RED_FLAGS_MOST_SCANNED: Final = 2_000

# Clusters are counted over all enterprises of a window in one call. A province takes some ten seconds, and
# a proxy in front of the service gives up after 30. For a country, ask by region or use the command line.
RED_FLAGS_MOST_GROUPED: Final = 20_000

# Places that a verification names for each kind of finding: readers look at the first ones, and a log with
# every row altered must not fill the memory.
VERIFY_MOST_PLACES: Final = 20

# The longest line of an export is that of a policy: its text of at most 256 KB with every character escaped,
# and the same text as data. A longer line is not one of ours, and must not be read into memory.
EXPORT_LINE_MAX_BYTES: Final = 8_000_000

# A manifest holds a few lines for each file and each publication.
MANIFEST_MAX_BYTES: Final = 4_000_000

# A published note is signed by its log and by some witnesses. Verifiers have to accept at least 16 signatures
# (c2sp.org/signed-note); a hundred, as in the tools of Go, leave room. A note with more is not parsed.
NOTE_MOST_SIGNATURES: Final = 100

# A hundred lines of signatures and a few of text fill some tens of kilobytes.
NOTE_MAX_BYTES: Final = 1_000_000

DISAGREEMENTS_MOST_SHOWN: Final = 1_000
"""Disagreements that a command prints at once: with more of them, the first ones show where to begin."""

# Logs of access have to be kept for six months; the longest six months have 184 days.
DISCLOSURES_KEPT_DAYS: Final = 184

# A disclosure takes a connection for a millisecond: two connections keep up with all threads of a process.
DISCLOSURE_CONNECTIONS: Final = 2

# The recorded query is cut to a length that people read; a query of the API has some hundred characters.
DISCLOSURE_TEXT_MAX_CHARS: Final = 1_000

# How long a client may take to begin a request or to send its whole head, and how long its body may fall
# short of the rate below.
RECEIVE_TIMEOUT_S: Final = 20

# At this rate, 256 kbit/s, the largest body takes 17 minutes; a slower client occupies room for too long.
BODY_LEAST_BYTES_PER_S: Final = 32 * 1024

# A stop waits this long for running requests, then it ends them; a filing is recorded as a whole or not at
# all.
STOP_TIMEOUT_S: Final = 20

# Anything that still delays a stop, such as a thread that waits for the database, has this long to end.
STOP_REST_S: Final = 5

# Clients that wait for their connection to be accepted. The event loop accepts as many at once, and some
# hundreds before it can refuse the first of them.
CONNECTIONS_WAITING_MOST: Final = 128

# A repeated line of the log says nothing new: when it had no file descriptors left, the event loop wrote 49
# MB of one line in 20 seconds.
LOG_REPEATS_MOST: Final = 10
LOG_REPEATS_WINDOW_S: Final = 60
