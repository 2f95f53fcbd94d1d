/*---
id: 5cb6e869-2b98-4551-a3ec-7b2354affb79
title: Function of a known attack script
description: >-
  A script block or a pipeline names functions of published attack scripts.
status: test
level: critical
tags: [attack.execution, attack.t1059.001, attack.credential-access, attack.t1003]
author: Noroshi project
date: "2026-11-23"
falsepositives:
  - Tests of the defences.
entity: [Computer]
tests:
  - name: 'in a script block, in a pipeline, and a harmless cmdlet'
    given:
      - {EventID: 4104, Computer: 'ws1', ScriptBlockText: 'function Invoke-DcSync { <# … #> }'}
      - {EventID: 4103, Computer: 'ws2', Payload: 'CommandInvocation(Invoke-Mimikatz): "Invoke-Mimikatz"'}
      - {EventID: 4104, Computer: 'ws3', ScriptBlockText: 'Invoke-Command -ComputerName srv1 { Get-Date }'}
    expect:
      - {Computer: 'ws1'}
      - {Computer: 'ws2'}
---*/
SELECT Computer, User, EventID, ScriptBlockText, Payload, Data, Path
FROM   script_activity
WHERE  ScriptBlockText ~* '(invoke-(mimikatz|dcsync|kerberoast|bloodhound|psinject|reflectivepeinjection|tokenmanipulation|smbexec|wmiexec|thehash)|out-minidump|get-gpppassword|powerview|sharphound)'
   OR  Payload ~* '(invoke-(mimikatz|dcsync|kerberoast|bloodhound|psinject|reflectivepeinjection|tokenmanipulation|smbexec|wmiexec|thehash)|out-minidump|get-gpppassword)'
   OR  Data ~* '(invoke-(mimikatz|dcsync|kerberoast|bloodhound|psinject|reflectivepeinjection|tokenmanipulation|smbexec|wmiexec|thehash)|out-minidump|get-gpppassword)'
