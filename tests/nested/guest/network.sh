# SPDX-License-Identifier: GPL-2.0-or-later
# For scripts in a guest: eth0 with an address by DHCP, and a resolver.
cat >/udhcpc.sh <<'EOF'
#!/bin/sh
case $1 in
bound|renew)
	ip addr add "$ip/${mask:-24}" dev "$interface"
	[ -z "$router" ] || ip route add default via "$router"
	for s in $dns; do echo "nameserver $s"; done >/etc/resolv.conf
	echo "LEASE $ip router=$router dns=$dns" ;;
esac
EOF
chmod +x /udhcpc.sh
mkdir -p /etc
modprobe hv_netvsc || exit 90
modprobe af_packet 2>/dev/null
n=0
until [ -e /sys/class/net/eth0 ]; do
	n=$((n + 1))
	[ $n -lt 100 ] || exit 91
	usleep 100000
done
ip link set lo up
ip link set eth0 up
udhcpc -i eth0 -n -q -t 20 -T 1 -s /udhcpc.sh || exit 92
