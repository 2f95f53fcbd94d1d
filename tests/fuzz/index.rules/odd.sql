/*---
id: 1b0c7cf2-54c1-4f0e-a7f8-33a0c2d0a001
title: What is no plain test of one column
status: test
level: low
---*/
SELECT Image, CommandLine
FROM   process_activity
WHERE  (Image = ParentImage OR length(CommandLine) > 200 OR CommandLine ~ '(a|b)+\s' OR ProcessId < 100)
   AND NOT (User IS NULL AND lower(Image) = 'c:\a.exe')
   AND (CommandLine NOT LIKE '%safe%' OR event_time > TIMESTAMP '2026-01-01T00:00:00Z' OR Image ILIKE '%_\%')
