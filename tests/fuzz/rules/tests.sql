/*---
id: a
title: t
entity: [User]
tags: [attack.t1059]
tests:
- name: n
  given: [{Image: a.exe, User: x, ProcessId: '0x1'}]
  expect: [{User: x}]
---*/
SELECT User FROM process_activity WHERE Image = 'a.exe'
