/*---
id: 368ec9ec-3c39-414d-861f-95d596322d8e
title: Audit policy changed
description: >-
  What the Security log records was changed (4719), or changed for one user (4912). After that, some events no
  longer appear.
status: test
level: medium
tags: [attack.defense-evasion, attack.t1562.002]
author: Noroshi project
date: "2026-11-23"
falsepositives:
  - Hardening by hand.
entity: [Computer, SubjectUserName]
tests:
  - name: 'by a person, by group policy'
    given:
      - {EventID: 4719, Computer: 'ws1', SubjectUserName: 'sato', SubjectUserSid: 'S-1-5-21-1-2-3-1001', AuditPolicyChanges: '%%8448, %%8450'}
      - {EventID: 4719, Computer: 'ws2', SubjectUserName: 'WS2$', SubjectUserSid: 'S-1-5-18', AuditPolicyChanges: '%%8449'}
    expect:
      - {Computer: 'ws1'}
---*/
SELECT Computer, SubjectUserName, SubjectDomainName, EventID, AuditPolicyChanges, SubcategoryGuid
FROM   windows_security
WHERE  EventID IN (4719, 4912) AND SubjectUserSid <> 'S-1-5-18'
