// SPDX-License-Identifier: GPL-2.0
/* Uses what kmpsolve_base exports, and next to nothing of the kernel. */
#include <linux/module.h>

struct net_device;
int kmpsolve_sum(int a, int b);
int kmpsolve_scale(int a);
int kmpsolve_hidden(struct net_device *device);

static int __init kmpsolve_user_init(void)
{
	pr_info("kmpsolve_user: %d\n", kmpsolve_sum(kmpsolve_scale(2), kmpsolve_hidden(NULL)));
	return 0;
}

static void __exit kmpsolve_user_exit(void)
{
}

module_init(kmpsolve_user_init);
module_exit(kmpsolve_user_exit);
MODULE_DESCRIPTION("Uses symbols of kmpsolve_base");
MODULE_LICENSE("GPL");
MODULE_IMPORT_NS(KMPSOLVE);
