/*---
id: 964c720e-b1ec-41a4-a12f-753306554642
title: Logon from the server of the SyncAgent campaign
description: >-
  Somebody logged on, or tried to, from the address of the campaign's server.
status: test
level: critical
tags: [attack.initial-access, attack.t1078, attack.t1133]
author: Noroshi project
date: "2026-11-23"
falsepositives:
  - None known.
entity: [Computer, user]
tests:
  - name: 'from the server, from inside'
    given:
      - {Computer: 'PWR-HIST-02.power.example', user: 'POWER\svc_backup', src_ip: '203.0.113.77', LogonType: 10, outcome: 'success'}
      - {Computer: 'PWR-HIST-02.power.example', user: 'POWER\svc_backup', src_ip: '10.20.1.7', LogonType: 10, outcome: 'success'}
    expect:
      - {user: 'POWER\svc_backup', src_ip: '203.0.113.77'}
---*/
SELECT Computer, user, src_ip, LogonType, outcome, TargetLogonId
FROM   authentication
WHERE  cidr_match(src_ip, '203.0.113.77/32')
