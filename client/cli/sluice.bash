# Completes sluice's command line in bash. Written by the build from the table of commands.

_sluice() {
  local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]}
  local first=${COMP_WORDS[1]} command words=''
  case $previous in
    -o | --output) mapfile -t COMPREPLY < <(compgen -W 'table json' -- "$current"); return ;;
    --config) mapfile -t COMPREPLY < <(compgen -f -- "$current"); return ;;
  esac
  if ((COMP_CWORD == 1)) && [[ $current != -* ]]; then
    mapfile -t COMPREPLY < <(compgen -W 'bench config doctor node path session status volume' -- "$current")
    return
  fi
  case $first in
    config) words='show check help' ;;
    node) words='ls info drain undrain accept rm' ;;
    path) words='ls test' ;;
    session) words='ls info fence' ;;
    volume) words='create ls info resize rename rm migrate import export' ;;
  esac
  if ((COMP_CWORD == 2)) && [[ $words && $current != -* ]]; then
    mapfile -t COMPREPLY < <(compgen -W "$words" -- "$current")
    return
  fi
  command=$first${words:+ ${COMP_WORDS[2]}}
  words=''
  if [[ $current == -* ]]; then
    case $command in
    'volume create') words="--size --block-size --write-back --node" ;;
    'volume resize') words="--allow-shrink" ;;
    'volume rm') words="--yes" ;;
    'volume migrate') words="--to --detach --cancel" ;;
    'volume import') words="--create --verify --depth" ;;
    'volume export') words="--force --depth" ;;
    'node accept') words="--yes" ;;
    'node rm') words="--yes" ;;
    'session fence') words="--yes" ;;
    'path test') words="--count" ;;
    'bench') words="--rw --bs --depth --time --ops --span --read-percent --seed --verify --yes" ;;
    'doctor') words="--local" ;;
    esac
    mapfile -t COMPREPLY < <(compgen -W "$words --output --config --help --version --masters= --client_id= --answer_timeout_ms= --volume.open_timeout_ms= --volume.io_timeout_ms= --volume.on_loss= --volume.loss_deadline_ms= --volume.queue_depth= --transport.local_addresses= --transport.provider= --transport.device= --transport.fabric= --transport.connect_timeout_ms= --transport.drain_timeout_ms= --transport.ack_timeout_exponent= --transport.retry_count= --transport.rnr_retry_count= --transport.min_rnr_timer= --transport.dscp= --polling.mode= --polling.spin_us= --log.level= --log.format= --log.file=" -- "$current")
    [[ ${COMPREPLY[0]:-} == *= ]] && compopt -o nospace
    return
  fi
  case $command in
    'volume info' | 'volume resize' | 'volume rename' | 'volume rm' | 'volume migrate' | 'volume import' | 'volume export' | 'session ls' | 'session info' | 'session fence' | 'path ls' | 'path test' | 'bench')
      words=$(sluice volume ls --answer_timeout_ms=500 2>/dev/null | awk 'NR > 1 { print $1 }') ;;
  esac
  mapfile -t COMPREPLY < <(compgen -W "$words" -- "$current")
  ((${#COMPREPLY[@]})) || mapfile -t COMPREPLY < <(compgen -f -- "$current")
}
complete -F _sluice sluice
