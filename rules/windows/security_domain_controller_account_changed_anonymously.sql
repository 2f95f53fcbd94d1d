/*---
id: b18975eb-0ae1-454e-ba1d-9cc3ed3f2cff
title: Computer account changed without a logon
description: >-
  An anonymous caller changed a computer account, as in the attack on the Netlogon protocol that empties the
  password of a domain controller (CVE-2020-1472).
status: test
level: critical
tags: [attack.privilege-escalation, attack.t1068, attack.lateral-movement, attack.t1210]
author: Noroshi project
date: "2026-11-23"
falsepositives:
  - None known.
entity: [Computer, TargetUserName]
tests:
  - name: 'anonymous, and the computer itself'
    given:
      - {EventID: 4742, Computer: 'dc1', SubjectUserName: 'ANONYMOUS LOGON', SubjectUserSid: 'S-1-5-7', TargetUserName: 'DC1$'}
      - {EventID: 4742, Computer: 'dc1', SubjectUserName: 'WS4$', SubjectUserSid: 'S-1-5-18', TargetUserName: 'WS4$'}
    expect:
      - {TargetUserName: 'DC1$'}
---*/
SELECT Computer, SubjectUserName, SubjectUserSid, TargetUserName, TargetDomainName, Message
FROM   windows_security
WHERE  EventID = 4742 AND (SubjectUserSid = 'S-1-5-7' OR SubjectUserName = 'ANONYMOUS LOGON')
