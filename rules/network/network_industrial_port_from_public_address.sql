/*---
id: c26343ae-d32d-4b8f-8501-1d39e8744085
title: Industrial protocol reached from a public address
description: >-
  A flow from outside the private ranges reached a port of an industrial protocol (Modbus, DNP3, IEC
  60870-5-104, S7, EtherNet/IP, BACnet). Controllers belong behind a gateway.
status: test
level: critical
tags: [attack.initial-access, attack.t0883]
author: Noroshi project
date: "2026-11-23"
falsepositives:
  - None known.
entity: [SourceIp, DestinationIp]
tests:
  - name: 'from outside, from inside, to a web server'
    given:
      - {sensor: 'ids1', SourceIp: '198.51.100.7', DestinationIp: '10.99.1.20', DestinationPort: 502}
      - {sensor: 'ids1', SourceIp: '10.20.0.14', DestinationIp: '10.99.1.20', DestinationPort: 502}
      - {sensor: 'ids1', SourceIp: '198.51.100.7', DestinationIp: '10.20.0.9', DestinationPort: 443}
    expect:
      - {SourceIp: '198.51.100.7', DestinationPort: 502}
---*/
SELECT sensor, SourceIp, SourcePort, DestinationIp, DestinationPort, Protocol, app_proto, bytes_toserver, bytes_toclient, flow_id
FROM   network_activity
WHERE  sensor IS NOT NULL AND DestinationPort IN (102, 502, 2404, 20000, 44818, 47808)
  AND  NOT (cidr_match(SourceIp, '10.0.0.0/8') OR cidr_match(SourceIp, '172.16.0.0/12') OR cidr_match(SourceIp, '192.168.0.0/16')
         OR cidr_match(SourceIp, '127.0.0.0/8') OR cidr_match(SourceIp, '169.254.0.0/16') OR cidr_match(SourceIp, '224.0.0.0/4')
         OR cidr_match(SourceIp, '::1/128') OR cidr_match(SourceIp, 'fc00::/7') OR cidr_match(SourceIp, 'fe80::/10')
         OR cidr_match(SourceIp, 'ff00::/8'))
