/*---
id: 783e4b7f-7ccf-428e-9cf7-bdd1879b3905
title: Event log cleared
description: >-
  Windows notes that somebody cleared a log other than the Security log.
status: test
level: high
tags: [attack.defense-evasion, attack.t1070.001]
author: Noroshi project
date: "2026-11-23"
falsepositives:
  - Preparation of a machine image.
entity: [Computer]
tests:
  - name: 'cleared, and another event of that number'
    given:
      - {EventID: 104, Computer: 'ws1', Provider_Name: 'Microsoft-Windows-Eventlog', Channel: 'System', Message: 'The System log file was cleared.'}
      - {EventID: 104, Computer: 'ws2', Provider_Name: 'Microsoft-Windows-TaskScheduler', Channel: 'x'}
    expect:
      - {Computer: 'ws1'}
---*/
SELECT Computer, User, EventID, Channel, Provider_Name, Message
FROM   windows_event
WHERE  EventID = 104 AND Provider_Name = 'Microsoft-Windows-Eventlog'
