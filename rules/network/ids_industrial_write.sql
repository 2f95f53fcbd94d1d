/*---
id: bf147c67-68a6-4306-ba6c-06ce7864af70
title: Write to an industrial controller seen by a sensor
description: >-
  A sensor raised an alert about a write or control function of an industrial protocol, or saw a Modbus
  function that writes. Values and outputs of a plant may have been changed.
status: test
level: high
tags: [attack.impair-process-control, attack.t0855, attack.t0836]
author: Noroshi project
date: "2026-11-23"
falsepositives:
  - Engineering stations at work.
entity: [SourceIp, DestinationIp]
tests:
  - name: 'by signature, by function, and a read'
    given:
      - {Signature: 'NOROSHI Modbus write from office network', signature_id: 1117701, SourceIp: '10.20.0.14', DestinationIp: '10.99.1.20', DestinationPort: 502}
      - {Signature: 'Modbus traffic', signature_id: 1, SourceIp: '10.20.0.15', DestinationIp: '10.99.1.20', modbus_function: 'WrMultipleReg'}
      - {Signature: 'Modbus traffic', signature_id: 1, SourceIp: '10.20.0.16', DestinationIp: '10.99.1.20', modbus_function: 'RdCoils', modbus_access: 'READ | COILS'}
    expect:
      - {SourceIp: '10.20.0.14'}
      - {SourceIp: '10.20.0.15'}
---*/
SELECT sensor, Signature, signature_id, severity, SourceIp, DestinationIp, DestinationPort, modbus_function, modbus_access, modbus_unit
FROM   detection_finding_in
WHERE  modbus_access ILIKE '%WRITE%'
   OR  modbus_function ILIKE 'Wr%'
   OR  (Signature ~* '(modbus|dnp3|iec.?104|iec 60870|s7comm|enip|cip|bacnet)' AND Signature ~* '(write|operate|control|setpoint|stop|restart)')
