/*---
id: 0e8c9538-cd85-4e85-a4f9-e239812f17e0
title: Security log cleared
description: >-
  Windows notes that the Security log was cleared, and by whom.
status: test
level: critical
tags: [attack.defense-evasion, attack.t1070.001]
author: Noroshi project
date: "2026-11-23"
falsepositives:
  - Preparation of a machine image.
entity: [Computer]
tests:
  - name: 'cleared, and a logon'
    given:
      - {EventID: 1102, Computer: 'ws1', SubjectUserName: 'sato'}
      - {EventID: 4624, Computer: 'ws2'}
    expect:
      - {Computer: 'ws1', SubjectUserName: 'sato'}
---*/
SELECT Computer, SubjectUserName, SubjectDomainName, EventID, Message
FROM   windows_security
WHERE  EventID IN (1102, 517)
