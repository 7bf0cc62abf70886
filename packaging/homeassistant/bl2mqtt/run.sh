#!/bin/bash
# The add-on's program. Takes the broker from the Supervisor, the settings from the add-on's options, and the meters
# from bridge.yaml in the add-on's configuration folder.
#
#   run.sh           the service
#   run.sh backup    a complete copy of the history, for Home Assistant's backup
set -euo pipefail

# The tests put stand-ins in their places.
data=${ADDON_DATA:-/data}
config_folder=${ADDON_CONFIG:-/config}
supervisor=${ADDON_SUPERVISOR:-http://supervisor}
listen=${ADDON_LISTEN:-0.0.0.0:8942}
patience=${ADDON_PATIENCE:-60}

config=$config_folder/bridge.yaml
copy=$data/history.backup

option() { # option NAME: its value, empty if it is not set
    jq -r --arg name "$1" '.[$name] // empty' "$data/options.json"
}
set_key() { # set_key KEY VALUE: overrides a key of bridge.yaml, unless the value is empty
    [ -z "$2" ] || export "BL2MQTT_$1=$2"
}

set_key BRIDGE__DATA_DIR "$data"
set_key BRIDGE__LOG_LEVEL "$(option log_level)"
set_key BRIDGE__ID "$(option bridge_id)"
set_key MQTT__BASE_TOPIC "$(option base_topic)"
# Home Assistant's ingress has done the login, and no port of this container is published.
set_key WEB__LISTEN "$listen"
set_key WEB__AUTH none
set_key WEB__MAINTENANCE always

if [ "${1:-}" = backup ]; then
    exec bl2mqtt --config "$config" history backup --output "$copy"
fi

if [ ! -e "$config" ]; then
    mkdir -p "$config_folder"
    cat >"$config" <<'YAML'
# The meters. Broker, log level and the web page are set by the add-on; every other key may stand here.
# The page "Meters" in Home Assistant adds meters too, and so do the lines that `bl2mqtt scan` prints, such as
#
#devices:
#  - id: house
#    driver: bl0942
#    channels:
#      a: {port: /dev/serial/by-id/usb-...}
devices: []
YAML
fi

if [ ! -e "$data/history.db" ] && [ -e "$copy" ]; then
    echo "Home Assistant restored this add-on: the history of its backup is put in place." >&2
    bl2mqtt --config "$config" history restore "$copy"
fi

if [ -n "$(option mqtt_server)" ]; then
    set_key MQTT__SERVER "$(option mqtt_server)"
    set_key MQTT__USER "$(option mqtt_user)"
    set_key MQTT__PASSWORD "$(option mqtt_password)"
else
    # The token goes by standard input, so that no list of processes shows it.
    # After a start of the whole machine the broker's add-on may come later than this one.
    waited=0
    until answer=$(printf 'header = "Authorization: Bearer %s"\n' "${SUPERVISOR_TOKEN:-}" |
        curl --silent --show-error --fail --max-time 20 --config - "$supervisor/services/mqtt"); do
        [ "$waited" -lt "$patience" ] || break
        [ "$waited" -gt 0 ] || echo "Home Assistant's Supervisor names no MQTT broker yet; waiting for up to $patience s." >&2
        sleep 5
        waited=$((waited + 5))
    done
    if [ -z "$answer" ]; then
        echo "Home Assistant's Supervisor names no MQTT broker. Install the add-on \"Mosquitto broker\", or set" \
            "mqtt_server in this add-on's options." >&2
        exit 1
    fi
    broker() { jq -r --arg name "$1" '.data[$name] // empty' <<<"$answer"; }
    scheme=mqtt
    [ "$(broker ssl)" != true ] || scheme=mqtts
    set_key MQTT__SERVER "$scheme://$(broker host):$(broker port)"
    set_key MQTT__USER "$(broker username)"
    set_key MQTT__PASSWORD "$(broker password)"
fi

bl2mqtt --config "$config" check >&2
exec bl2mqtt --config "$config" run
