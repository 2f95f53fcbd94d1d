/*---
id: 556fcbf8-dc1c-495a-b179-4ffc3f3b5899
title: Program in a downloads or desktop folder looked up a name
description: >-
  A program that runs from a folder for downloads asks for a name: the look-up shows where it is going to
  connect to.
status: test
level: low
tags: [attack.command-and-control, attack.t1071.004]
author: Noroshi project
date: "2026-11-23"
falsepositives:
  - Portable tools.
entity: [Computer, Image]
tests:
  - name: desktop and an installed program
    given:
      - {Computer: 'ws1', Image: 'C:\Users\a\Desktop\a.exe', QueryName: 'files.example.net'}
      - {Computer: 'ws2', Image: 'C:\Windows\System32\svchost.exe', QueryName: 'files.example.net'}
    expect:
      - {Computer: 'ws1', QueryName: 'files.example.net'}
---*/
SELECT Computer, User, Image, ProcessId, QueryName, QueryResults
FROM   dns_activity
WHERE  Image ILIKE '%\\Users\\%\\Downloads\\%' OR Image ILIKE '%\\Users\\%\\Desktop\\%' OR Image ILIKE '%\\Users\\Public\\%'
