/*---
id: 2baa6675-854d-4fb5-bb9c-119dcf89b518
title: Modbus write from the office network to the control network
description: >-
  The sensor of the power company saw a Modbus write from its office network (10.20.0.0/16) to a controller
  (10.99.0.0/16). Only engineering stations inside the control network may write.
status: test
level: critical
tags: [attack.impair-process-control, attack.t0855, attack.t0836]
author: Noroshi project
date: "2026-11-23"
falsepositives:
  - None known.
entity: [SourceIp, DestinationIp]
tests:
  - name: 'from the office, from the control network'
    given:
      - {signature_id: 1117701, Signature: 'NOROSHI Modbus write from office network', SourceIp: '10.20.0.14', DestinationIp: '10.99.1.20', DestinationPort: 502, severity: 1}
      - {signature_id: 1, Signature: 'Modbus', modbus_access: 'WRITE | SINGLE', SourceIp: '10.99.1.2', DestinationIp: '10.99.1.20', DestinationPort: 502, severity: 3}
    expect:
      - {SourceIp: '10.20.0.14', DestinationIp: '10.99.1.20'}
---*/
SELECT sensor, Signature, signature_id, severity, SourceIp, DestinationIp, DestinationPort
FROM   detection_finding_in
WHERE  (signature_id = 1117701 OR modbus_access ILIKE '%WRITE%')
  AND  cidr_match(SourceIp, '10.20.0.0/16') AND cidr_match(DestinationIp, '10.99.0.0/16')
