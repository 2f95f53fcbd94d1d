/*---
id: 0dd4fec5-b651-48eb-a0e4-e7129d50f5e1
title: Administration port answered to a public address
description: >-
  A host answered a connection from outside the private ranges on a port for administration or file sharing
  (SSH, Telnet, RPC, SMB, remote desktop, VNC, WinRM).
status: test
level: high
tags: [attack.initial-access, attack.t1133]
author: Noroshi project
date: "2026-11-23"
falsepositives:
  - Jump hosts that are meant to be reached.
entity: [SourceIp, DestinationIp]
tests:
  - name: 'answered, not answered, from inside'
    given:
      - {sensor: 'ids1', SourceIp: '198.51.100.7', DestinationIp: '10.20.0.9', DestinationPort: 3389, bytes_toclient: 5120}
      - {sensor: 'ids1', SourceIp: '198.51.100.8', DestinationIp: '10.20.0.9', DestinationPort: 3389, bytes_toclient: 0}
      - {sensor: 'ids1', SourceIp: '10.20.1.4', DestinationIp: '10.20.0.9', DestinationPort: 3389, bytes_toclient: 5120}
    expect:
      - {SourceIp: '198.51.100.7'}
---*/
SELECT sensor, SourceIp, SourcePort, DestinationIp, DestinationPort, Protocol, app_proto, bytes_toserver, bytes_toclient, flow_id
FROM   network_activity
WHERE  sensor IS NOT NULL AND DestinationPort IN (22, 23, 135, 139, 445, 3389, 5900, 5985, 5986) AND bytes_toclient > 0
  AND  (cidr_match(DestinationIp, '10.0.0.0/8') OR cidr_match(DestinationIp, '172.16.0.0/12') OR cidr_match(DestinationIp, '192.168.0.0/16'))
  AND  NOT (cidr_match(SourceIp, '10.0.0.0/8') OR cidr_match(SourceIp, '172.16.0.0/12') OR cidr_match(SourceIp, '192.168.0.0/16')
         OR cidr_match(SourceIp, '127.0.0.0/8') OR cidr_match(SourceIp, '169.254.0.0/16') OR cidr_match(SourceIp, '224.0.0.0/4')
         OR cidr_match(SourceIp, '::1/128') OR cidr_match(SourceIp, 'fc00::/7') OR cidr_match(SourceIp, 'fe80::/10')
         OR cidr_match(SourceIp, 'ff00::/8'))
