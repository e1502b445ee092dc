# SPDX-License-Identifier: GPL-2.0-or-later
# For scripts in a guest with root=: eth0 on a network without DHCP, at the host
# number HERE of 10.9.0.0/24 and fd09::/64, and what is done there.
modprobe af_packet 2>/dev/null
ip link set lo up
echo 0 >/proc/sys/net/ipv6/conf/default/accept_dad

up()
{
	modprobe hv_netvsc || exit 90
	n=0
	until [ -e /sys/class/net/eth0 ]; do
		n=$((n + 1))
		[ $n -lt 100 ] || exit 91
		usleep 100000
	done
	ip link set eth0 mtu "${MTU:-1500}" || exit 92
	ip addr add "10.9.0.$HERE/24" dev eth0
	ip -6 addr add "fd09::$HERE/64" dev eth0
	ip link set eth0 up || exit 93
	ip route add default via 10.9.0.1
	ip -6 route add default via fd09::1
}

# Someone answers, soon.
reach()
{
	n=0
	until ping -c 1 -W 1 "$1" >/dev/null; do
		n=$((n + 1))
		[ $n -lt 30 ] || exit 94
	done
}

# Bytes each way by TCP, to and from a server of http: cheaper than the client.
stream()
{
	sum=$(wget -q -O - "http://[$1]:$2/524288" | md5sum)
	[ "${sum%% *}" = "$SUM" ] || exit 97
	head -c 524288 /bin/busybox >/up
	[ "$(nc "$1" "$2" </up)" = "$(md5sum </up | cut -c1-32)" ] || exit 98
}

client()
{
	cp /net_client.py /root/run/
	chroot /root python3 /run/net_client.py "$@" || exit 95
}

# iperf3 against the host, with these options.  Its server takes a moment to see
# that the last one has gone.
iperf()
{
	until chroot /root iperf3 -c 10.9.0.1 "$@" >/iperf.out 2>&1; do
		grep busy /iperf.out || { cat /iperf.out; exit 96; }
		usleep 200000
	done
	grep -E "receiver|sender" /iperf.out
}
