/*---
id: 721a428d-6ce9-420d-b501-b7a117814fc8
title: PowerShell talks HTTP to a host of the own network
description: >-
  PowerShell opened a connection to a usual web port of a private address that is not the own host. Staging
  servers of intruders inside the network look like this, as do some management tools.
status: test
level: medium
tags: [attack.command-and-control, attack.t1071.001]
author: Noroshi project
date: "2026-11-23"
falsepositives:
  - PowerShell repositories and update servers of the own network.
entity: [Computer, DestinationIp]
tests:
  - name: 'web port, other port, other program'
    given:
      - {Initiated: true, Computer: 'ws1', Image: 'C:\Windows\System32\WindowsPowerShell\v1.0\powershell.exe', DestinationIp: '10.10.10.5', DestinationPort: 80}
      - {Initiated: true, Computer: 'ws2', Image: 'C:\Windows\System32\WindowsPowerShell\v1.0\powershell.exe', DestinationIp: '10.10.10.5', DestinationPort: 5985}
      - {Initiated: true, Computer: 'ws3', Image: 'C:\Windows\System32\svchost.exe', DestinationIp: '10.10.10.5', DestinationPort: 80}
    expect:
      - {Computer: 'ws1'}
---*/
SELECT Computer, User, Image, ProcessId, SourceIp, DestinationIp, DestinationHostname, DestinationPort, Protocol
FROM   network_activity
WHERE  Initiated AND Image ILIKE '%\\powershell.exe'
  AND  DestinationPort IN (80, 443, 8000, 8080, 8443, 8444, 8888)
  AND  (cidr_match(DestinationIp, '10.0.0.0/8') OR cidr_match(DestinationIp, '172.16.0.0/12') OR cidr_match(DestinationIp, '192.168.0.0/16'))
