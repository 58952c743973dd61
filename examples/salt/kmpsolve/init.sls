# Keeps an inventory line of this minion in a file that the master can fetch:
#   salt '*' state.apply kmpsolve
#   salt '*' cp.push /var/lib/kmpsolve/inventory.json
#   kmpsolve audit /var/cache/salt/master/minions/*/files/var/lib/kmpsolve/
{%- set kmpsolve = salt['pillar.get']('kmpsolve:command', 'kmpsolve') %}
{%- set folder = salt['pillar.get']('kmpsolve:folder', '/var/lib/kmpsolve') %}
{%- set options = salt['pillar.get']('kmpsolve:options', '') %}

kmpsolve-folder:
  file.directory:
    - name: {{ folder }}
    - mode: '0755'
    - makedirs: True

kmpsolve-collect:
  cmd.run:
    - name: {{ kmpsolve }} collect --host {{ grains['id'] }} -o {{ folder }}/inventory.json {{ options }}
    - require:
      - file: kmpsolve-folder
