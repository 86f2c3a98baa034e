"""The limits that this software sets on what it takes in, each with its reason."""

from typing import Final

# The month of a country with a million enterprises is a CSV of 200 MB. A file that somebody made, or that
# grows while it is read, may have no end.
SOURCE_FILE_MAX_BYTES: Final = 2_000_000_000

# A workbook is unpacked into memory whole, at ten to twenty times its size. 20 MB hold about 250,000
# rows of the platform's export; a larger month comes as CSV, which is read as a stream.
XLSX_MAX_BYTES: Final = 20_000_000

# XML of spreadsheets packs five to twelve times; more than twenty times is no table but a bomb.
XLSX_MAX_UNPACKED_BYTES: Final = 400_000_000

# The workbook reader keeps a sheet as one rectangle of 32 bytes a cell, so that a single stray cell in
# the last row and column would ask for 550 GB. 10 million cells are 320 MB: 500,000 rows of 20 columns.
SHEET_MAX_CELLS: Final = 10_000_000

# Every cell of text is a copy of its own to the reader, though a workbook stores equal texts once: a
# file of 500 KB can ask for 9 GB. 100 million characters are 400 in each of 250,000 rows.
SHEET_MAX_TEXT_CHARS: Final = 100_000_000

# One record of a CSV stays in memory: a quotation mark that is never closed must not draw in the file.
CSV_RECORD_MAX_CHARS: Final = 1_000_000

# What the process that reads a file may take of address space. A workbook that keeps to the limits above
# takes a gigabyte at most; what takes more was made to do so.
READING_MAX_MEMORY_BYTES: Final = 2 * 1024**3

# What it may take of processor time: 30 seconds are needed for the largest workbook, less than 1 for each MB
# of CSV; several times that for slower machines.
READING_MAX_CPU_S: Final = 60
READING_BYTES_PER_CPU_S: Final = 500_000

# Its caller waits this many times as long: a process that gets less than a quarter of a processor hangs.
READING_PATIENCE: Final = 4

# Excel takes 32,767 characters in a cell; a row with more than three such cells is none of a table. 4,000
# rows are checked at once.
ROW_MAX_CHARS: Final = 100_000

# What that process hands over at once: a few hundred thousand characters, each of four bytes at the most.
READING_FRAME_MAX_BYTES: Final = 32_000_000

# Whoever has more lines that cannot be read has the wrong file, and no lines to mend.
READING_MOST_PROBLEMS: Final = 10_000

# How much of a text is looked at to find its encoding and its separator: many rows, read at once.
TEXT_SAMPLE_BYTES: Final = 64_000

# Titles, units and notes stand above a table, never a screen full of them.
HEADER_SEARCH_ROWS: Final = 20

# Excel ends at row 1,048,576; the first is the heading, the last says how many lines were left out.
PROBLEM_SHEET_MAX_LINES: Final = 1_048_574

# The same of the sheet of red flags, whose lines are a question and a version that it is asked of.
RED_FLAG_SHEET_MAX_LINES: Final = 1_048_574

# Excel refuses a longer text in a cell.
SHEET_CELL_MAX_CHARS: Final = 32_767

# A reader waits so long for the read models to reach a position: the largest call is projected in about that
# time. Whoever is in front of the service, a proxy or a client, gives up later, mostly after 30 seconds.
WAIT_FOR_MOST_S: Final = 5.0

# A policy fills a few pages; the shipped one has 8 KB.
POLICY_MAX_BYTES: Final = 256_000

# Keys, values, lists and mappings of a policy, each of which takes 50 microseconds to read: the shipped one
# has 437, and 256 KB could have 120,000. A document that is recorded stays readable, however many it has.
POLICY_MAX_NODES: Final = 5_000

# One call is one transaction and one answer: 50,000 rows are about 100,000 events and 300 MB of memory.
RETURNS_MAX_ROWS: Final = 50_000

# 50,000 rows with every figure, source and reason stay under it.
BODY_MAX_BYTES: Final = 32 * 1024 * 1024

# What JSON becomes in memory goes by its values, not by its bytes: 33 MB of `[],` are 11 million lists and
# 700 MB, made in one step that lets no other request on. A row has at most 7 objects and 30 commas; 50,000
# of them fit, with a third to spare for commas and brackets in texts.
BODY_MAX_COMMAS: Final = 2_000_000
BODY_MAX_CONTAINERS: Final = 500_000

# No object of the API has more than 20 fields; each one that nobody knows is a problem to be told.
BODY_OBJECT_MAX_KEYS: Final = 100

# Bodies that are received or worked on at the same time in one process. A body takes ten to twenty times its
# size in memory until it is answered: two of the largest, or fifty of a small city's month.
BODIES_MAX_BYTES: Final = 2 * BODY_MAX_BYTES

# So much of a body the server has read before anybody asks for it; smaller ones wait for no room.
BODY_SMALL_BYTES: Final = 64 * 1024

# How long a body waits for room: a filing of the largest takes about ten seconds. Whoever is in front of the
# service gives up after 30.
BODY_WAIT_MOST_S: Final = 20.0

# An answer lists so many problems or warnings, and says how many there are in all: whoever reads them mends
# their cause. 50,000 rows could have a million, an answer of 400 MB.
PROBLEMS_MOST_LISTED: Final = 1_000

# A batch or a file keeps so many of its problems or warnings in memory, some 50 MB, and counts the others:
# the problem sheet of a file goes to those who mend it.
PROBLEMS_MOST_KEPT: Final = 100_000

# Connections of a service: one for each thread of its process (Starlette has 40), and a thread takes one at
# a time, so that no request waits for another's; several workers share them. PostgreSQL admits 100 in all
# unless it is told otherwise, and who imports or looks needs some too.
POOL_SIZE: Final = 40

# Where an operator allows fewer: a caller that waits longer for one had better be told to come again.
POOL_TIMEOUT_S: Final = 5

# A server in the same network answers in milliseconds; one that does not answer by then is not there.
CONNECT_TIMEOUT_S: Final = 3

# No statement of a request takes more than a few seconds, waiting for locks included.
STATEMENT_TIMEOUT_S: Final = 60

# A writer waits this long for another: longer than the largest batch takes to record.
LOCK_TIMEOUT_S: Final = 30

# From so many rows on a filing is a long one: deciding on it takes a processor longer than recording another.
LONG_BATCH_ROWS: Final = 500

# Long filings that a process handles at a time: one is decided on while the other one is recorded. More would
# only keep the short ones from the processor.
LONG_BATCHES_AT_ONCE: Final = 2

# A long filing waits this long for those before it, twice as long as for a lock: sent again it costs as much
# anew. Later its caller is told to come again.
LONG_BATCH_WAIT_S: Final = 60

# Between two statements of a transaction rows are decided on or encoded; a dry run of the largest file
# decides for a minute. Whoever is silent for longer holds the others up for nothing.
IDLE_IN_TRANSACTION_TIMEOUT_S: Final = 300

# A peer that went without a word, as at a power cut, is noticed after 30 + 3 * 10 seconds, and after 30 if
# it leaves what was sent unacknowledged. Firewalls forget connections that are silent for minutes.
TCP_IDLE_S: Final = 30
TCP_PROBE_INTERVAL_S: Final = 10
TCP_PROBES: Final = 3
TCP_UNACKNOWLEDGED_S: Final = 30

# What met a lost connection, a deadlock or a serialisation failure is done again after each of these pauses,
# in seconds. Together they outlast the restart of a server; a caller that waits longer is told to come again.
RETRY_PAUSES_S: Final = (0.1, 0.2, 0.4, 0.8, 1.6)

# A load balancer asks every few seconds and wants to know at once.
READY_TIMEOUT_S: Final = 2.0

# How long a read model may lie behind the log before it is said: a filing projects within tenths of a second.
READY_LAG_S: Final = 1.0

# Readiness tries a write this often, and waits this long for another writer: that one can write.
WRITE_PROBE_INTERVAL_S: Final = 10.0
WRITE_PROBE_WAIT_MS: Final = 250

# As much as a filing of one row writes, so that a disk with less room than that is found full.
WRITE_PROBE_BYTES: Final = 65_536

# A clock that has gained more than this on one that nobody can set was set wrong, or vouched for. Less is
# the time zone of a machine put right, or a virtual machine that was paused over night.
CLOCK_STEP_MOST_S: Final = 86_400

# Between two months somebody files. Who starts after a longer rest has no other clock to ask, and is asked.
CLOCK_REST_MOST_S: Final = 100 * 86_400

# The clocks of several machines differ by less; a ledger that is further ahead says so.
CLOCK_AHEAD_SAID_S: Final = 60

# How often the service looks whether something was left undone, by itself or by another process.
CARETAKER_INTERVAL_S: Final = 10.0

# The last root of the log is asked for with every read, earlier ones by auditors: 32 bytes each.
ROOTS_KEPT: Final = 1_024

# A checkpoint covers what was recorded a moment ago: it is sealed before the answer, as much as takes about
# two seconds. More is there only after an upgrade or an import, and is sealed behind.
SEALED_PER_CALL_MOST: Final = 200_000

# Excel ends at row 1,048,576; besides the lines stand the heading, the sums, and how many were left out.
DIFFERENCE_SHEET_MAX_LINES: Final = 1_048_573

# Mismatches that a replay reports with the steps of both sides, some 20 KB of memory each; all are counted,
# and a range of positions finds the others. Whoever finds so many has found enough to begin with.
REPLAY_MOST_REPORTED: Final = 2_000

# Enterprises that one page of the red flags looks through: about a second, most of it reading their versions.
RED_FLAGS_MOST_SCANNED: Final = 2_000

# Clusters are counted over all enterprises of a window in one call: a province takes some ten seconds, and
# whoever is in front of the service gives up after 30. A country is asked for by region, or by command line.
RED_FLAGS_MOST_GROUPED: Final = 20_000

# A verification names so many places of each kind of finding: a reader looks at the first ones, and a log
# whose every row was altered must not fill the memory.
VERIFY_MOST_PLACES: Final = 20

# The longest line of an export is that of a policy: its text of at most 256 KB, each character of it escaped,
# and the same as data. What is longer is no line of ours, and must not be drawn into memory.
EXPORT_LINE_MAX_BYTES: Final = 8_000_000

# A manifest holds a few lines for each file and each publication.
MANIFEST_MAX_BYTES: Final = 4_000_000

# A note that travels is signed by its log and by some witnesses. Verifiers take in at least 16 signatures
# (c2sp.org/signed-note); a hundred, as the tools of Go take, leave room, and no more lines are parsed.
NOTE_MOST_SIGNATURES: Final = 100

# A hundred lines of signatures and a few of text fill some tens of kilobytes.
NOTE_MAX_BYTES: Final = 1_000_000

DISAGREEMENTS_MOST_SHOWN: Final = 1_000
"""On the command line at once: whoever has more of them looks at the first and begins there."""
# Logs of access are to be kept for six months, the longest of which have 184 days.
DISCLOSURES_KEPT_DAYS: Final = 184

# A disclosure takes a connection for a millisecond: two of each process keep up with all its threads.
DISCLOSURE_CONNECTIONS: Final = 2

# What was asked for is kept as far as anybody reads it; a query of the API is some hundred characters.
DISCLOSURE_TEXT_MAX_CHARS: Final = 1_000
# In so long a client begins a request, sends its head whole, or keeps its body at the rate below.
RECEIVE_TIMEOUT_S: Final = 20

# The largest body takes 17 minutes over 256 kbit/s; whoever sends less holds its room for nothing.
BODY_LEAST_BYTES_PER_S: Final = 32 * 1024

# A stop waits so long for the requests in work, then it ends them; a filing is recorded whole or not at all.
STOP_TIMEOUT_S: Final = 20

# What holds a stop up after that, such as a thread that waits for the database, has so long to end.
STOP_REST_S: Final = 5

# Clients that wait for their connection to be taken. The event loop takes as many at once, and some hundreds
# before it can refuse the first of them.
CONNECTIONS_WAITING_MOST: Final = 128

# A line of the log that repeats itself says nothing new: without descriptors the event loop wrote 49 MB of
# one in 20 seconds.
LOG_REPEATS_MOST: Final = 10
LOG_REPEATS_WINDOW_S: Final = 60
