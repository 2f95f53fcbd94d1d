/*---
id: e87c7b1a-8286-414c-ad55-f4335a943879
title: Intrusion detection alert of the highest severity
description: >-
  A network sensor raised an alert that its rule set counts among the worst (severity 1).
status: test
level: high
tags: [attack.command-and-control]
author: Noroshi project
date: "2026-11-23"
falsepositives:
  - Rules of the sensor that do not fit the network; silence them there.
entity: [SourceIp, DestinationIp]
tests:
  - name: severity 1 and 3
    given:
      - {severity: 1, Signature: 'Trojan check-in', signature_id: 2045001, SourceIp: '10.1.2.3', DestinationIp: '203.0.113.9'}
      - {severity: 3, Signature: 'Unusual TTL', signature_id: 2200001, SourceIp: '10.1.2.3', DestinationIp: '203.0.113.9'}
    expect:
      - {Signature: 'Trojan check-in', SourceIp: '10.1.2.3'}
---*/
SELECT sensor, Signature, signature_id, category, severity, action, SourceIp, SourcePort, DestinationIp, DestinationPort, app_proto, flow_id
FROM   detection_finding_in
WHERE  severity = 1
