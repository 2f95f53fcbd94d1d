/*---
id: 25664f70-397f-4cf7-a5d6-5a4814e54274
title: Large upload to a public address
description: >-
  One flow carried at least a gigabyte out to an address outside the private ranges, and at least ten times
  what came back.
status: test
level: medium
tags: [attack.exfiltration, attack.t1048]
author: Noroshi project
date: "2026-11-23"
falsepositives:
  - 'Backup to a cloud service, video conferences.'
entity: [SourceIp, DestinationIp]
tests:
  - name: 'an upload, a download, a backup inside'
    given:
      - {SourceIp: '10.1.2.3', DestinationIp: '203.0.113.9', bytes_toserver: 2147483648, bytes_toclient: 1048576}
      - {SourceIp: '10.1.2.4', DestinationIp: '203.0.113.9', bytes_toserver: 1048576, bytes_toclient: 2147483648}
      - {SourceIp: '10.1.2.5', DestinationIp: '10.1.0.9', bytes_toserver: 2147483648, bytes_toclient: 1048576}
    expect:
      - {SourceIp: '10.1.2.3'}
---*/
SELECT sensor, SourceIp, SourcePort, DestinationIp, DestinationPort, Protocol, app_proto, bytes_toserver, bytes_toclient, flow_id
FROM   network_activity
WHERE  bytes_toserver >= 1073741824 AND bytes_toserver >= 10 * coalesce(bytes_toclient, 0)
  AND  NOT (cidr_match(DestinationIp, '10.0.0.0/8') OR cidr_match(DestinationIp, '172.16.0.0/12') OR cidr_match(DestinationIp, '192.168.0.0/16')
         OR cidr_match(DestinationIp, '127.0.0.0/8') OR cidr_match(DestinationIp, '169.254.0.0/16') OR cidr_match(DestinationIp, '224.0.0.0/4')
         OR cidr_match(DestinationIp, '::1/128') OR cidr_match(DestinationIp, 'fc00::/7') OR cidr_match(DestinationIp, 'fe80::/10')
         OR cidr_match(DestinationIp, 'ff00::/8'))
