/*---
id: 64e49533-48ba-44bb-a892-41c71fbbb484
title: Arguments of a credential theft tool
description: >-
  A command line has the module names of Mimikatz, which reads passwords and tickets from memory and forges
  logons. The file name does not matter.
status: test
level: critical
tags: [attack.credential-access, attack.t1003]
author: Noroshi project
date: "2026-11-23"
falsepositives:
  - Tests of the defences.
entity: [Computer, User]
tests:
  - name: 'a module, and a namespace of C++'
    given:
      - {Computer: 'ws1', Image: 'C:\tools\m.exe', CommandLine: 'm.exe "privilege::debug" "sekurlsa::logonpasswords" exit'}
      - {Computer: 'ws2', Image: 'C:\tools\filt.exe', CommandLine: 'filt.exe std::vector'}
    expect:
      - {Computer: 'ws1'}
---*/
SELECT Computer, User, Image, CommandLine, ProcessId, ParentImage, ParentCommandLine
FROM   process_activity
WHERE  CommandLine ~* '(lsadump|sekurlsa|kerberos|crypto|dpapi|vault|token|privilege|misc)::[a-z]{2,}'
   OR  CommandLine ILIKE '%mimikatz%'
