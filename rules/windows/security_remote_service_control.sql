/*---
id: 94fa32e9-0c90-4dab-9b7a-a423ee3ea6e0
title: Service control pipe opened over the network
description: >-
  Somebody on another host opened the pipe through which services are created and started: remote
  administration, or remote execution.
status: test
level: medium
tags: [attack.lateral-movement, attack.t1021.002, attack.execution, attack.t1569.002]
author: Noroshi project
date: "2026-11-23"
falsepositives:
  - Remote administration.
entity: [Computer, IpAddress]
tests:
  - name: 'from another host, from this host, another pipe'
    given:
      - {EventID: 5145, Computer: 'srv1', ShareName: '\\*\IPC$', RelativeTargetName: 'svcctl', IpAddress: '172.18.39.5'}
      - {EventID: 5145, Computer: 'srv2', ShareName: '\\*\IPC$', RelativeTargetName: 'svcctl', IpAddress: '::1'}
      - {EventID: 5145, Computer: 'srv3', ShareName: '\\*\IPC$', RelativeTargetName: 'lsarpc', IpAddress: '172.18.39.5'}
    expect:
      - {Computer: 'srv1', IpAddress: '172.18.39.5'}
---*/
SELECT Computer, SubjectUserName, SubjectDomainName, IpAddress, ShareName, RelativeTargetName, AccessMask
FROM   windows_security
WHERE  EventID = 5145 AND ShareName ILIKE '%\\IPC$' AND RelativeTargetName IN ('svcctl', 'atsvc', 'winreg')
  AND  NOT coalesce(cidr_match(IpAddress, '127.0.0.0/8') OR cidr_match(IpAddress, '::1/128'), false)
