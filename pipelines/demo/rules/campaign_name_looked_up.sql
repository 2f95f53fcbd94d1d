/*---
id: 16455fda-2257-4ead-b8e5-c4577301f6ff
title: Name of the SyncAgent campaign looked up
description: >-
  A host or program looked up the domain, or a name below it, that the SyncAgent campaign uses for its
  servers.
status: test
level: high
tags: [attack.command-and-control, attack.t1071.004]
author: Noroshi project
date: "2026-11-23"
falsepositives:
  - Analysts who look at the campaign.
entity: [Computer, SourceIp]
tests:
  - name: 'below the domain, and a name that only ends alike'
    given:
      - {activity: 'query', Computer: 'MIN-WS-014.ministry.example', QueryName: 'updates.cdn-sync.example'}
      - {activity: 'query', sensor: 'ids', SourceIp: '10.30.1.7', QueryName: 'Updates.CDN-Sync.example'}
      - {activity: 'query', sensor: 'ids', SourceIp: '10.30.1.6', queries: '[{"rrname":"updates.cdn-sync.example","rrtype":"A"}]'}
      - {activity: 'query', SourceIp: '10.30.1.8', QueryName: 'mycdn-sync.example'}
      - {activity: 'response', SourceIp: '10.30.1.9', QueryName: 'updates.cdn-sync.example'}
    expect:
      - {Computer: 'MIN-WS-014.ministry.example'}
      - {SourceIp: '10.30.1.7'}
      - {SourceIp: '10.30.1.6'}
---*/
SELECT sensor, Computer, User, Image, SourceIp, QueryName, queries, QueryResults
FROM   dns_activity
WHERE  activity = 'query' AND (QueryName ILIKE 'cdn-sync.example' OR QueryName ILIKE '%.cdn-sync.example'
     OR queries ~* '["\.]cdn-sync\.example"')
