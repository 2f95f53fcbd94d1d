/*---
id: 8b803e88-75d4-4fc8-884d-e2d3c7e7ab27
title: Unusually long name looked up
description: >-
  A name of more than 120 characters, or with a label of at least 50 letters and digits, was looked up: data
  can be carried out in names.
status: test
level: medium
tags: [attack.command-and-control, attack.t1071.004, attack.exfiltration, attack.t1048.003]
author: Noroshi project
date: "2026-11-23"
falsepositives:
  - Reputation services and content networks that put identifiers into names.
entity: [SourceIp, Computer]
tests:
  - name: 'a carrier, an ordinary name, an answer'
    given:
      - {activity: 'query', SourceIp: '10.1.2.3', QueryName: '6d656574696e672d6e6f7465732d323032362d31302d30332d7061727431.t.example.net', record_type: 'TXT'}
      - {activity: 'query', SourceIp: '10.1.2.4', QueryName: 'www.example.com', record_type: 'A'}
      - {activity: 'response', SourceIp: '10.1.2.5', QueryName: '6d656574696e672d6e6f7465732d323032362d31302d30332d7061727431.t.example.net', record_type: 'TXT'}
    expect:
      - {SourceIp: '10.1.2.3'}
---*/
SELECT sensor, Computer, Image, SourceIp, DestinationIp, QueryName, record_type
FROM   dns_activity
WHERE  activity = 'query' AND (length(QueryName) > 120 OR QueryName ~* '(^|\.)[a-z0-9_-]{50,}\.')
  AND  QueryName NOT ILIKE '%.in-addr.arpa' AND QueryName NOT ILIKE '%.ip6.arpa'
