/*---
id: e1f876b6-b6e8-45c2-bf21-05db9507c91a
title: Remote management port reached by an unusual program
description: >-
  A connection to the port of Windows Remote Management was opened by a program that is not a part of Windows:
  own implementations of the protocol come with attack tools.
status: test
level: high
tags: [attack.lateral-movement, attack.t1021.006]
author: Noroshi project
date: "2026-11-23"
falsepositives:
  - None known.
entity: [Computer, Image]
tests:
  - name: a tool and Windows
    given:
      - {Initiated: true, Computer: 'ws1', Image: 'C:\Users\a\Desktop\a.exe', DestinationIp: '172.18.39.6', DestinationPort: 5985}
      - {Initiated: true, Computer: 'ws2', Image: 'C:\Windows\System32\svchost.exe', DestinationIp: '172.18.39.6', DestinationPort: 5985}
    expect:
      - {Computer: 'ws1'}
---*/
SELECT Computer, User, Image, ProcessId, SourceIp, DestinationIp, DestinationHostname, DestinationPort, Protocol
FROM   network_activity
WHERE  Initiated AND DestinationPort IN (5985, 5986)
  AND  Image NOT ILIKE '%\\windows\\system32\\%' AND Image NOT ILIKE '%\\windows\\syswow64\\%' AND Image NOT ILIKE '%\\program files%'
  AND  Image <> 'System'
