/*---
id: 15924bcd-bdd6-4bf4-ad2c-8f991b9aefa0
title: Account created by command
description: >-
  The net command creates a local or domain account. Intruders do this to come back.
status: test
level: high
tags: [attack.persistence, attack.t1136.001]
author: Noroshi project
date: "2026-11-23"
falsepositives:
  - Set-up scripts of new hosts.
entity: [Computer, User]
tests:
  - name: adding and asking
    given:
      - {Computer: 'ws1', Image: 'C:\Windows\System32\net.exe', CommandLine: 'net user /add helper secret'}
      - {Computer: 'ws2', Image: 'C:\Windows\System32\net.exe', CommandLine: 'net user helper /domain'}
      - {Computer: 'ws3', Image: 'C:\Windows\System32\net1.exe', CommandLine: 'net1 use z: \\srv\share /add'}
    expect:
      - {Computer: 'ws1'}
---*/
SELECT Computer, User, Image, CommandLine, ProcessId, ParentImage, ParentCommandLine
FROM   process_activity
WHERE  (Image ILIKE '%\\net.exe' OR Image ILIKE '%\\net1.exe')
  AND  CommandLine ILIKE '% user %' AND CommandLine ILIKE '%/add%'
