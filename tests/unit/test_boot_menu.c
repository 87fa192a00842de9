/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The configurations of boot loaders: what they would start. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>

#include "menu_harness.h"

struct fixture {
    struct fake_disk disk;
    struct menu_disk menus;
    struct arena arena;
    struct menu_place place;
    struct menu_entry entry;
};

static void set_up(struct fixture *f, const struct fake_file *files, unsigned count, const char *directory)
{
    memset(f, 0, sizeof *f);
    f->disk = (struct fake_disk){files, count, {"aaaa-1", "bbbb-2", NULL}};
    f->menus = fake_menu_disk(&f->disk);
    f->place = (struct menu_place){&f->menus, &f->arena, 0, directory};
}

static void assert_entry(const struct fixture *f, const char *title, const char *kernel, const char *initrd,
                         const char *line)
{
    assert_string_equal(f->entry.title, title);
    assert_string_equal(f->entry.kernel.path, kernel);
    assert_int_equal(f->entry.initrd_count, initrd ? 1 : 0);
    if (initrd)
        assert_string_equal(f->entry.initrds[0].path, initrd);
    assert_string_equal(f->entry.command_line, line);
}

static const struct fake_file files[] = {
    {0, "/boot/vmlinuz-1", "k"},
    {0, "/boot/vmlinuz-2", "k"},
    {0, "/boot/initrd-1", "i"},
    {0, "/boot", NULL},
    {0, "/boot/grub/vmlinuz-3", "k"},
    {1, "/vmlinuz-4", "k"},
    {0, "/vmlinuz-5", "k"},
    {0, "/boot/grub/grubenv",
     "# GRUB Environment Block\nsaved_entry=second\nnext_entry=third\nkernelopts=root=/dev/vda1 ro\n#####"},
    {0, "/boot/grub/custom.cfg", "set custom=yes\n"},
};

static void test_extlinux(void **unused)
{
    (void)unused;
    struct fixture f;
    set_up(&f, files, 9, "/boot/grub");
    static const char text[] =
        "## comment\n"
        "default l1\n\n"
        "menu title U-Boot menu\n"
        "timeout 50\n"
        "label l0\n\tmenu label First\n\tlinux /boot/vmlinuz-1\n\tappend a\n"
        "\n  LABEL l1\r\n\tMENU LABEL Second one \r\n\tLinux ../grub/none\n"
        "\tkernel /boot/vmlinuz-2\n\tinitrd /boot/initrd-1\n\tappend root=/dev/vda1 ro quiet  \n";
    assert_int_equal(extlinux_choose(&f.place, text, &f.entry), 0);
    assert_entry(&f, "Second one", "/boot/vmlinuz-2", "/boot/initrd-1", "root=/dev/vda1 ro quiet");
    arena_free(&f.arena);

    /* The default does not exist; arguments for all; initrds among the arguments; relative names. */
    set_up(&f, files, 9, "/boot/grub");
    static const char other[] =
        "append all initrd=/boot/initrd-1,x\nlabel gone\nkernel /none\n"
        "label here\nkernel vmlinuz-3\nlabel last\nmenu default\nkernel /none\nappend -\n";
    assert_int_equal(extlinux_choose(&f.place, other, &f.entry), 0);
    assert_string_equal(f.entry.kernel.path, "/boot/grub/vmlinuz-3");
    assert_string_equal(f.entry.command_line, "all initrd=/boot/initrd-1,x");
    assert_int_equal(f.entry.initrd_count, 2);
    assert_string_equal(f.entry.initrds[1].path, "/boot/grub/x");
    assert_int_equal(extlinux_choose(&f.place, "label x\nkernel /boot\n", &f.entry), -ENOENT);
    assert_int_equal(extlinux_choose(&f.place, "", &f.entry), -ENOENT);
    arena_free(&f.arena);

    /* What is included, and that a file which includes itself many times does not take long. */
    static const struct fake_file loop[] = {
        {0, "/c",
         "include c\ninclude /c\ninclude c\ninclude c\ninclude c\ninclude c\ninclude c\ninclude c\n"
         "label x\nkernel /k\nappend included\n"},
        {0, "/k", "k"},
    };
    set_up(&f, loop, 2, "");
    assert_int_equal(extlinux_choose(&f.place, "include /c\nmenu include c\n", &f.entry), 0);
    assert_string_equal(f.entry.command_line, "included");
    assert_in_range(f.arena.taken, 1, 100000);
    arena_free(&f.arena);
}

static void test_bls(void **unused)
{
    (void)unused;
    struct fixture f;
    static const struct fake_file disk[] = {
        {0, "/boot/loader/entries/abc-6.1.0.conf",
         "title Old\nversion 6.1.0\nlinux /vmlinuz-1\ninitrd /initrd-1 $tuned_initrd\noptions $kernelopts quiet\n"},
        {0, "/boot/loader/entries/abc-6.10.0.conf",
         "# x\ntitle New\nversion 6.10.0\nlinux /vmlinuz-2\noptions a\noptions b\n"},
        {0, "/boot/loader/entries/abc-6.9.0.conf", "title Middle\nversion 6.9.0\nlinux /vmlinuz-1\n"},
        {0, "/boot/loader/entries/abc-7+0-3.conf", "title Failing\nversion 7\nlinux /vmlinuz-1\n"},
        {0, "/boot/loader/entries/notes.txt", "title x\nlinux /vmlinuz-1\n"},
        {0, "/boot/vmlinuz-1", "k"},
        {0, "/boot/vmlinuz-2", "k"},
        {0, "/boot/initrd-1", "i"},
        {0, "/boot/loader/loader.conf", "timeout 3\ndefault *-6.9.0.conf\n"},
    };
    set_up(&f, disk, 8, "/boot");
    assert_int_equal(bls_choose(&f.place, NULL, NULL, &f.entry), 0);
    assert_entry(&f, "New", "/boot/vmlinuz-2", NULL, "a b");
    assert_int_equal(bls_choose(&f.place, "abc-6.1.0", "kernelopts=root=/dev/vda1\n", &f.entry), 0);
    assert_entry(&f, "Old", "/boot/vmlinuz-1", "/boot/initrd-1", "root=/dev/vda1 quiet");
    arena_free(&f.arena);
    set_up(&f, disk, 9, "/boot");
    assert_int_equal(bls_choose(&f.place, NULL, NULL, &f.entry), 0);
    assert_string_equal(f.entry.title, "Middle");
    assert_int_equal(bls_choose(&f.place, "**a*b*c*d*e*f*", NULL, &f.entry), 0);
    arena_free(&f.arena);
    set_up(&f, disk, 0, "");
    assert_int_equal(bls_choose(&f.place, NULL, NULL, &f.entry), -ENOENT);
    arena_free(&f.arena);
}

/* As grub-mkconfig writes it, in short. */
static const char grub_head[] =
    "if [ -s $prefix/grubenv ]; then\n  set have_grubenv=true\n  load_env\nfi\n"
    "if [ \"${next_entry}\" ] ; then\n   set default=\"${next_entry}\"\n"
    "else\n   set default=\"0\"\nfi\n"
    "if [ x\"${feature_menuentry_id}\" = xy ]; then\n  menuentry_id_option=\"--id\"\n"
    "else\n  menuentry_id_option=\"\"\nfi\nexport menuentry_id_option\n"
    "function savedefault {\n  if [ -z \"${boot_once}\" ]; then\n    save_env saved_entry\n  fi\n}\n"
    "for x in 1 2 3; do set default=9; done\n";
static const char grub_menu[] =
    "menuentry 'First $x' --class debian --class os $menuentry_id_option 'first' {\n"
    "\tload_video\n\tif [ x$grub_platform = xxen ]; then insmod xzio; insmod lzopio; fi\n"
    "\tset root=none\n\tsearch --no-floppy --fs-uuid --set=root hd0,gpt2 aaaa-1\n\techo 'Loading { Linux } ...'\n"
    "\tlinux\t/boot/vmlinuz-1 root=UUID=aaaa-1 ro  quiet \"a b\" \\\n$vt_handoff last # comment\n"
    "\tinitrd\t/boot/initrd-1\n}\n"
    "submenu \"Advanced \\\"options\\\"\" $menuentry_id_option 'more' {\n"
    "\tmenuentry 'Second' --id second {\n\t\tset root='hd0,gpt2'\n\t\tlinux /vmlinuz-4 two\n\t}\n"
    "\tmenuentry 'Third' --id third {\n\t\tlinux ($root)/boot/vmlinuz-2 three\n\t}\n}\n"
    "menuentry 'Firmware' { fwsetup }\n"
    "if [ -f ${config_directory}/custom.cfg ]; then\n  source ${config_directory}/custom.cfg\n"
    "elif [ -z \"${config_directory}\" -a -f  $prefix/custom.cfg ]; then\n  source $prefix/custom.cfg\nfi\n";

static void choose_grub(struct fixture *f, const char *between, const char *after)
{
    arena_free(&f->arena);
    set_up(f, files, 9, "/boot/grub");
    char *text = arena_format(&f->arena, "%s%s%s%s", grub_head, between, grub_menu, after);
    assert_int_equal(grub_choose(&f->place, text, &f->entry), 0);
}

static void test_grub(void **unused)
{
    (void)unused;
    struct fixture f = {0};
    choose_grub(&f, "", "");
    assert_entry(&f, "First $x", "/boot/vmlinuz-1", "/boot/initrd-1",
                 "root=UUID=aaaa-1 ro quiet \"a b\" last");
    assert_int_equal(f.entry.kernel.volume, 0);

    choose_grub(&f, "", "set default=\"${saved_entry}\"\n"); /* an id that is in a submenu only: the first */
    assert_string_equal(f.entry.title, "First $x");
    choose_grub(&f, "", "set default=\"more>${saved_entry}\"\n");
    assert_entry(&f, "Second", "/vmlinuz-4", NULL, "two");
    assert_int_equal(f.entry.kernel.volume, 1);
    choose_grub(&f, "", "set default='Advanced \"options\">1'\n");
    assert_entry(&f, "Third", "/boot/vmlinuz-2", NULL, "three");
    choose_grub(&f, "", "set default=1\n");
    assert_string_equal(f.entry.title, "Second");
    choose_grub(&f, "", "set default=2\n"); /* starts nothing: the first that does */
    assert_string_equal(f.entry.title, "First $x");
    choose_grub(&f, "", "if [ \"$custom\" = yes ]; then set default=1>Third; fi");
    assert_string_equal(f.entry.title, "Third");
    choose_grub(&f, "",
                "set root=none\nif ! [ 1 -lt 2 -o x = y ]; then set default=0; elif test 10 -ge 9; then "
                "default=1; else set default=2; fi");
    assert_string_equal(f.entry.title, "Second");
    arena_free(&f.arena);
}

static void test_grub_odd(void **unused)
{
    (void)unused;
    struct fixture f;
    set_up(&f, files, 9, "/boot/grub");
    assert_int_equal(grub_choose(&f.place, "linux /vmlinuz-5 direct\nboot\n", &f.entry), 0);
    assert_entry(&f, "", "/vmlinuz-5", NULL, "direct");
    assert_int_equal(grub_choose(&f.place, "search.file /vmlinuz-4 root\nlinux /vmlinuz-4", &f.entry), 0);
    assert_int_equal(f.entry.kernel.volume, 1);
    static const char *const nothing[] = {
        "",
        "menuentry",
        "menuentry x {",
        "}",
        "if",
        "if [",
        "if then else fi",
        "menuentry a { linux /none }",
        "menuentry a { linux /boot }",
        "fi fi fi",
        "source $prefix/custom.cfg; source grub.cfg",
        "'",
        "\"${",
        "$",
        "submenu a { submenu b { submenu c {",
        "while true; do linux /vmlinuz-5; done",
        "\\",
    };
    for (unsigned i = 0; i < sizeof nothing / sizeof nothing[0]; i++)
        assert_int_equal(grub_choose(&f.place, nothing[i], &f.entry), -ENOENT);
    arena_free(&f.arena);

    /* A file that includes itself comes to an end. */
    static const struct fake_file loop[] = {{0, "/grub.cfg", "source /grub.cfg\nsource /grub.cfg\n"}};
    set_up(&f, loop, 1, "");
    assert_int_equal(grub_choose(&f.place, loop[0].text, &f.entry), -ENOENT);
    arena_free(&f.arena);
}

/* A configuration of bad will does not take all of the host's memory: a megabyte of words in a menu in a menu
 * in a menu, which is read again for each. */
static void test_grub_greedy(void **unused)
{
    (void)unused;
    struct fixture f;
    const size_t size = 1 << 20;
    char *text = malloc(size);
    assert_non_null(text);
    for (size_t i = 0; i < size; i++)
        text[i] = i & 1 ? ' ' : 'x';
    for (size_t i = 0; i < 20; i++)
        memcpy(text + i * 12, "submenu a {\n", 12);
    text[size - 1] = '\0';
    set_up(&f, files, 9, "/boot/grub");
    assert_int_equal(grub_choose(&f.place, text, &f.entry), -ENOENT);
    assert_true(f.arena.failed);
    assert_true(f.arena.taken <= ARENA_MAX);
    arena_free(&f.arena);
    free(text);
}

static void test_grub_bls(void **unused)
{
    (void)unused;
    struct fixture f;
    static const struct fake_file disk[] = {
        {0, "/boot/grub2/grubenv", "saved_entry=abc-1\nkernelopts=root=/dev/vda3 ro\n"},
        {0, "/boot/loader/entries/abc-1.conf",
         "title One\nversion 1\nlinux /vmlinuz-1\noptions $kernelopts\n"},
        {0, "/boot/loader/entries/abc-2.conf", "title Two\nversion 2\nlinux /vmlinuz-1\n"},
        {0, "/boot/vmlinuz-1", "k"},
    };
    set_up(&f, disk, 4, "/boot/grub2");
    assert_int_equal(grub_choose(&f.place,
                                 "load_env\nset default=\"${saved_entry}\"\ninsmod blscfg\nblscfg\n"
                                 "menuentry 'UEFI Firmware Settings' { fwsetup }\n",
                                 &f.entry),
                     0);
    assert_entry(&f, "One", "/boot/vmlinuz-1", NULL, "root=/dev/vda3 ro");
    arena_free(&f.arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_extlinux), cmocka_unit_test(test_bls),      cmocka_unit_test(test_grub),
        cmocka_unit_test(test_grub_odd), cmocka_unit_test(test_grub_bls), cmocka_unit_test(test_grub_greedy),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
