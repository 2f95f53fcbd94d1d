/*---
id: 605d7d98-14dd-412d-97e0-d7d177167a7c
title: Service account logged on by remote desktop
description: >-
  Accounts named svc_… belong to services. One of them logged on by remote desktop or at a console: somebody
  uses its password.
status: test
level: high
tags: [attack.defense-evasion, attack.t1078.002, attack.lateral-movement, attack.t1021.001]
author: Noroshi project
date: "2026-11-23"
falsepositives:
  - Installation of the service.
entity: [Computer, user]
tests:
  - name: 'by remote desktop, as a service, a person'
    given:
      - {outcome: 'success', Computer: 'PWR-HIST-02.power.example', user: 'POWER\svc_backup', src_ip: '203.0.113.77', LogonType: 10}
      - {outcome: 'success', Computer: 'PWR-HIST-02.power.example', user: 'POWER\svc_backup', LogonType: 5}
      - {outcome: 'success', Computer: 'PWR-WS-001.power.example', user: 'POWER\m.sato', LogonType: 2}
    expect:
      - {user: 'POWER\svc_backup', LogonType: 10}
---*/
SELECT Computer, user, src_ip, LogonType, TargetLogonId
FROM   authentication
WHERE  outcome = 'success' AND LogonType IN (2, 10, 11) AND user ILIKE '%\\svc\_%'
