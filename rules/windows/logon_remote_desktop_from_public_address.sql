/*---
id: 1d748026-0c8b-45ed-a6c5-c9813ff4c1dc
title: Remote desktop logon from a public address
description: >-
  Somebody logged on by remote desktop, or took up a session again, from an address outside the private
  ranges: remote desktop is open to the internet, or somebody forwards it.
status: test
level: high
tags: [attack.initial-access, attack.t1133, attack.lateral-movement, attack.t1021.001]
author: Noroshi project
date: "2026-11-23"
falsepositives:
  - Private networks that use public addresses.
entity: [Computer, src_ip]
tests:
  - name: 'public, private, no address, failure'
    given:
      - {outcome: 'success', activity: 'logon', Computer: 'srv1', user: 'POWER\svc_backup', src_ip: '203.0.113.77', LogonType: 10}
      - {outcome: 'success', activity: 'logon', Computer: 'srv2', user: 'POWER\sato', src_ip: '10.20.1.7', LogonType: 10}
      - {outcome: 'success', activity: 'logon', Computer: 'srv3', user: 'POWER\sato', LogonType: 7}
      - {outcome: 'failure', activity: 'logon', Computer: 'srv4', user: 'POWER\sato', src_ip: '203.0.113.77', LogonType: 10}
    expect:
      - {Computer: 'srv1', src_ip: '203.0.113.77'}
---*/
SELECT Computer, user, src_ip, LogonType, WorkstationName, LogonProcessName, TargetLogonId
FROM   authentication
WHERE  outcome = 'success' AND activity = 'logon' AND LogonType IN (7, 10)
  AND  NOT (cidr_match(src_ip, '10.0.0.0/8') OR cidr_match(src_ip, '172.16.0.0/12') OR cidr_match(src_ip, '192.168.0.0/16')
         OR cidr_match(src_ip, '127.0.0.0/8') OR cidr_match(src_ip, '169.254.0.0/16') OR cidr_match(src_ip, '224.0.0.0/4')
         OR cidr_match(src_ip, '::1/128') OR cidr_match(src_ip, 'fc00::/7') OR cidr_match(src_ip, 'fe80::/10')
         OR cidr_match(src_ip, 'ff00::/8'))
