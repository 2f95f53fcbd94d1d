/*---
id: 377299d1-8a84-47e8-b99a-d7184bc28c12
title: Server of the SyncAgent campaign contacted
description: >-
  A connection or flow to or from the address of the campaign's server, seen by a host or by a sensor.
status: test
level: high
tags: [attack.command-and-control, attack.t1071.001]
author: Noroshi project
date: "2026-11-23"
falsepositives:
  - None known.
entity: [SourceIp, Computer]
tests:
  - name: 'to the server, and to its neighbour'
    given:
      - {sensor: 'ids', SourceIp: '10.20.0.14', DestinationIp: '203.0.113.77', DestinationPort: 443}
      - {sensor: 'ids', SourceIp: '10.20.0.14', DestinationIp: '203.0.113.78', DestinationPort: 443}
    expect:
      - {SourceIp: '10.20.0.14', DestinationIp: '203.0.113.77'}
---*/
SELECT sensor, Computer, User, Image, SourceIp, DestinationIp, DestinationPort, Protocol, bytes_toserver, bytes_toclient
FROM   network_activity
WHERE  cidr_match(DestinationIp, '203.0.113.77/32') OR cidr_match(SourceIp, '203.0.113.77/32')
