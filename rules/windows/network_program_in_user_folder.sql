/*---
id: dd3e467e-5279-47d6-83a6-badf2b032840
title: Program in a downloads or desktop folder opened a connection
description: >-
  A program that runs from a folder for downloads opened a network connection.
status: test
level: medium
tags: [attack.command-and-control, attack.t1071]
author: Noroshi project
date: "2026-11-23"
falsepositives:
  - Portable tools of administrators.
entity: [Computer, Image]
tests:
  - name: downloads and an installed program
    given:
      - {Initiated: true, Computer: 'ws1', Image: 'C:\Users\a\Downloads\payload.exe', DestinationIp: '192.168.56.40', DestinationPort: 8443}
      - {Initiated: true, Computer: 'ws2', Image: '\device\harddiskvolume2\users\a\desktop\b.exe', DestinationIp: '192.168.56.40', DestinationPort: 8443}
      - {Initiated: true, Computer: 'ws3', Image: 'C:\Users\a\AppData\Local\Microsoft\Teams\current\Teams.exe', DestinationIp: '192.168.56.40', DestinationPort: 443}
    expect:
      - {Computer: 'ws1'}
      - {Computer: 'ws2'}
---*/
SELECT Computer, User, Image, ProcessId, SourceIp, DestinationIp, DestinationHostname, DestinationPort, Protocol
FROM   network_activity
WHERE  Initiated
  AND  (Image ILIKE '%\\users\\%\\downloads\\%' OR Image ILIKE '%\\users\\%\\desktop\\%' OR Image ILIKE '%\\users\\public\\%')
