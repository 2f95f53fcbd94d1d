/*---
id: 8f9e8c36-4d4e-4896-87ce-abe1ff6ee5bd
title: WMI subscription bound to a script or a command
description: >-
  A WMI filter was bound to a consumer that runs a script or a command: it starts by itself when the filter
  matches, and survives restarts.
status: test
level: high
tags: [attack.persistence, attack.t1546.003]
author: Noroshi project
date: "2026-11-23"
falsepositives:
  - None known.
entity: [Computer]
tests:
  - name: a script consumer and a log consumer
    given:
      - {EventID: 21, Channel: 'Microsoft-Windows-Sysmon/Operational', Computer: 'ws1', Operation: 'Created', Consumer: 'ActiveScriptEventConsumer.Name="x"', Filter: '__EventFilter.Name="y"'}
      - {EventID: 21, Channel: 'Microsoft-Windows-Sysmon/Operational', Computer: 'ws2', Operation: 'Created', Consumer: 'NTEventLogEventConsumer.Name="SCM"', Filter: '__EventFilter.Name="y"'}
    expect:
      - {Computer: 'ws1'}
---*/
SELECT Computer, User, EventID, Operation, Consumer, Filter, Destination
FROM   windows_event
WHERE  (EventID = 21 AND Channel ILIKE '%Sysmon%' AND (Consumer ILIKE '%ActiveScriptEventConsumer%' OR Consumer ILIKE '%CommandLineEventConsumer%'))
   OR  (EventID = 20 AND Channel ILIKE '%Sysmon%')
