/*---
id: f9a91680-df11-408f-a4cd-38893faa592f
title: Disk read past the file system by an unusual program
description: >-
  A program read the disk as raw blocks (Sysmon 9): a way to copy files that are locked, such as the database
  of accounts. Services of Windows that do so are left out.
status: test
level: low
tags: [attack.defense-evasion, attack.t1006]
author: Noroshi project
date: "2026-11-23"
falsepositives:
  - 'Backup, disk encryption, defragmentation.'
entity: [Computer, Image]
tests:
  - name: a copier and a service
    given:
      - {EventID: 9, Channel: 'Microsoft-Windows-Sysmon/Operational', Computer: 'ws1', Image: 'C:\Users\a\Desktop\rawcopy.exe', Device: '\Device\HarddiskVolume2'}
      - {EventID: 9, Channel: 'Microsoft-Windows-Sysmon/Operational', Computer: 'ws2', Image: 'C:\Windows\System32\svchost.exe', Device: '\Device\HarddiskVolume2'}
    expect:
      - {Computer: 'ws1'}
---*/
SELECT Computer, User, Image, ProcessId, Device
FROM   windows_event
WHERE  EventID = 9 AND Channel ILIKE '%Sysmon%'
  AND  Image <> 'System' AND Image NOT ILIKE '<unknown%' AND Image NOT ILIKE '&lt;unknown%'
  AND  Image NOT ILIKE '%\\System32\\svchost.exe' AND Image NOT ILIKE '%\\System32\\lsass.exe' AND Image NOT ILIKE '%\\System32\\VSSVC.exe'
  AND  Image NOT ILIKE '%\\System32\\taskhostw.exe' AND Image NOT ILIKE '%\\System32\\dllhost.exe' AND Image NOT ILIKE '%\\SystemApps\\%'
  AND  Image NOT ILIKE '%\\System32\\CompatTelRunner.exe' AND Image NOT ILIKE '%\\System32\\DeviceCensus.exe'
  AND  Image NOT ILIKE '%UsoCoreWorker.exe' AND Image NOT ILIKE '%\\wbem\\WmiPrvSE.exe'
